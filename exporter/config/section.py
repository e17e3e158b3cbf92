"""A section of a configuration file."""

from __future__ import annotations

import functools

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Facts that do not change; a key that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(functools.cached_property,))
