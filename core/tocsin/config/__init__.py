"""The config file: found, read, checked and turned into one unchangeable object."""

from tocsin.config.issues import CODES, ConfigError, Place, Position, Problem, Severity
from tocsin.config.load import check, load, plugin_settings
from tocsin.config.models import DeliverySettings, PluginSettings, RecoverSettings, RetryPolicy
from tocsin.config.settings import (
    ChannelSettings,
    Config,
    DefaultSettings,
    RouteSettings,
    StoreSettings,
    TemplateSettings,
)
from tocsin.config.source import Source, find

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
]
