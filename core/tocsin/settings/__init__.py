"""The config file: found, read, checked and turned into one unchangeable object."""

from tocsin.settings.issues import CODES, ConfigError, Place, Position, Problem, Severity
from tocsin.settings.load import check, load, plugin_settings
from tocsin.settings.models import DeliverySettings, PluginSettings, RecoverSettings, RetryPolicy
from tocsin.settings.settings import (
    ChannelSettings,
    Config,
    DefaultSettings,
    RouteSettings,
    StoreSettings,
    TemplateSettings,
)
from tocsin.settings.source import Source, find, source_of_text

__all__ = [
    "CODES",
    "ChannelSettings",
    "Config",
    "ConfigError",
    "DefaultSettings",
    "DeliverySettings",
    "Place",
    "PluginSettings",
    "Position",
    "Problem",
    "RecoverSettings",
    "RetryPolicy",
    "RouteSettings",
    "Severity",
    "Source",
    "StoreSettings",
    "TemplateSettings",
    "check",
    "find",
    "load",
    "plugin_settings",
    "source_of_text",
]
