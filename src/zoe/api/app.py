"""Puts the routes, the pages and what holds for all of them together."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI

import zoe
from zoe.api import accounts, cluster, errors, executions, streams
from zoe.api.feed import Feed
from zoe.api.metrics import Metrics
from zoe.api.middleware import Border
from zoe.api.parts import Parts
from zoe.api.session import load_session_key
from zoe.api.shares import Shares
from zoe.api.tokens import Tokens
from zoe.api.web import pages
from zoe.model.rest import API_PREFIX, Problem
from zoe.rpc.client import Client
from zoe.settings import Settings
from zoe.store.base import Store

PROBLEMS: dict[int | str, dict[str, Any]] = {"4XX": {"model": Problem}, "5XX": {"model": Problem}}


def make_app(
    settings: Settings,
    store: Store,
    master: Client,
    frameworks: Callable[[], Mapping[str, tuple[str, str]]],
) -> FastAPI:
    """Return the api as an ASGI application; the caller opens and closes store and master."""
    metrics = Metrics()
    parts = Parts(
        settings=settings,
        store=store,
        tokens=Tokens(store.find_token),
        shares=Shares(store.accounts),
        master=master,
        feed=Feed(store),
        metrics=metrics,
        frameworks=frameworks,
        session_key=load_session_key(settings.data_dir),
    )
    app = FastAPI(
        title="Zoe",
        version=zoe.__version__,
        summary="Submit, watch and control executions of analytic applications.",
        openapi_url=f"{API_PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=PROBLEMS,
    )
    app.state.parts = parts
    app.add_middleware(Border, settings=settings, metrics=metrics)
    for router in (
        executions.router,
        streams.router,
        cluster.router,
        accounts.router,
        cluster.open_router,
    ):
        app.include_router(router, prefix=API_PREFIX)
    app.include_router(cluster.open_router, include_in_schema=False)
    app.add_api_route("/metrics", cluster.metrics, include_in_schema=False)
    pages.install(app)
    errors.install(app, pages.problem_page)
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Listen to the store for as long as the app serves."""
    parts: Parts = app.state.parts
    listener = asyncio.create_task(parts.feed.run(), name="store feed")
    try:
        yield
    finally:
        parts.feed.close()
        listener.cancel()
        with suppress(asyncio.CancelledError):
            await listener
