"""What a user can set for runs: `tocsin.config`, read when it is first asked for.

The hub has settings of its own, in `tocsin.settings`; both may stand in one file.
"""

from tocsin.options.config import Config, config, set_temporary_config
from tocsin.options.reading import OptionsError
from tocsin.options.table import Options, SecretOptions, merged

__all__ = ["Config", "Options", "OptionsError", "SecretOptions", "config", "merged", "set_temporary_config"]
