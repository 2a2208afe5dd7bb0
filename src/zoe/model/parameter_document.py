"""A parameter as a description declares it."""

from dataclasses import replace
from typing import Annotated, Self

from pydantic import (
    Field,
    model_validator,
)

from zoe.model.limits import (
    MAX_ITEMS,
    MAX_PARAMETERS,
)
from zoe.model.parameters import Parameter, ParameterType
from zoe.model.zapp_values import (
    AnyNumber,
    AnyScalar,
    Document,
    ParameterName,
    Text,
    Title,
)


class ParameterDocument(Document):
    """Something that the user chooses; ``${parameters.name}`` stands for it."""

    type: ParameterType = Field(description="Kind of value.")
    default: AnyScalar | None = Field(
        default=None,
        description="Value when the user chooses none; without it the user has to choose.",
    )
    min: AnyNumber | None = Field(default=None, description="Least value of an integer or number.")
    max: AnyNumber | None = Field(
        default=None, description="Greatest value of an integer or number."
    )
    choices: list[Text] | None = Field(
        default=None, min_length=1, max_length=MAX_ITEMS, description="The values of a choice."
    )
    title: Title = Field(default="", description="Shown beside the field of the form.")
    description: Text = Field(default="", description="Shown under the field of the form.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        bounds = [bound for bound in (self.min, self.max) if bound is not None]
        if bounds and self.type not in ("integer", "number"):
            raise ValueError(f"a {self.type} has no min and max")
        if len(bounds) == 2 and bounds[0] > bounds[1]:
            raise ValueError(f"min, {bounds[0]}, is more than max, {bounds[1]}")
        if (self.type == "choice") != (self.choices is not None):
            raise ValueError("choices are for a choice, and a choice has them")
        if self.default is not None:
            try:
                self.parameter("").value(self.default)
            except ValueError as error:
                raise ValueError(f"default: {error}") from error
        return self

    def parameter(self, name: str) -> Parameter:
        """Return the model's value of it."""
        bare = Parameter(
            name=name,
            type=self.type,
            min=self.min,
            max=self.max,
            choices=tuple(self.choices or ()),
            title=self.title,
            description=self.description,
        )
        if self.default is None:
            return bare
        return replace(bare, default=bare.value(self.default))


Parameters = Annotated[dict[ParameterName, ParameterDocument], Field(max_length=MAX_PARAMETERS)]
