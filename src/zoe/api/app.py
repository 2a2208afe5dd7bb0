"""Puts the routes, the pages and what holds for all of them together."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

import zoe
from zoe.api import accounts, apps, cluster, engines, errors, executions, streams, use
from zoe.api.feed import Feed
from zoe.api.metrics import Metrics
from zoe.api.middleware import Border
from zoe.api.parts import SCOPE_KEY, Parts
from zoe.api.session import load_session_key
from zoe.api.shares import Shares
from zoe.api.tokens import Tokens
from zoe.api.web import pages
from zoe.model.rest import API_PREFIX, Problem
from zoe.rpc.client import Client
from zoe.settings import Settings
from zoe.store.base import Store

PROBLEMS: dict[int | str, dict[str, Any]] = {"4XX": {"model": Problem}, "5XX": {"model": Problem}}


class Api:
    """The api as an ASGI application; the caller opens and closes store, master and feed."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        master: Client,
        frameworks: Callable[[], Mapping[str, tuple[str, str]]],
    ) -> None:
        self.parts = Parts(
            settings=settings,
            store=store,
            tokens=Tokens(store.find_token),
            shares=Shares(store.accounts),
            master=master,
            feed=Feed(store),
            metrics=Metrics(),
            frameworks=frameworks,
            session_key=load_session_key(settings.data_dir),
        )
        self._border = Border(routes(), settings, self.parts.metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request with the parts of this api."""
        scope[SCOPE_KEY] = self.parts
        await self._border(scope, receive, send)


@cache
def routes() -> FastAPI:
    """Return the routes and pages, which are the same for every api of this process."""
    app = FastAPI(
        title="Zoe",
        version=zoe.__version__,
        summary="Submit, watch and control executions of analytic applications.",
        openapi_url=f"{API_PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses=PROBLEMS,
    )
    for router in (
        executions.router,
        streams.router,
        cluster.router,
        engines.router,
        use.router,
        accounts.router,
        apps.router,
        cluster.open_router,
    ):
        app.include_router(router, prefix=API_PREFIX)
    app.include_router(cluster.open_router, include_in_schema=False)
    app.add_api_route("/metrics", cluster.metrics, include_in_schema=False)
    pages.install(app)
    errors.install(app, pages.problem_page)
    return app
