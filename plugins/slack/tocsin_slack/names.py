"""What the names that Slack gives to its errors mean."""

from __future__ import annotations

AUTH_ERRORS = frozenset(
    {
        "not_authed",
        "invalid_auth",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "missing_scope",
        "no_permission",
        "access_denied",
        "invalid_token",
        "not_allowed_token_type",
        "team_access_not_granted",
        "enterprise_is_restricted",
        "two_factor_setup_required",
        "team_disabled",
    }
)
"""Nothing can be delivered with these credentials."""
DEAD_WEBHOOK_ERRORS = frozenset({"no_service", "no_active_hooks", "no_team", "channel_is_archived"})
GONE_ERRORS = frozenset({"channel_not_found", "is_archived"})
PAYLOAD_ERRORS = frozenset(
    {
        "invalid_blocks",
        "invalid_blocks_format",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "too_many_attachments",
        "invalid_attachments",
        "invalid_payload",
        "invalid_metadata_format",
        "invalid_metadata_schema",
    }
)
REFUSED_ERRORS = frozenset(
    {
        "not_in_channel",
        "action_prohibited",
        "restricted_action",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
        "restricted_action_non_threadable_channel",
        "posting_to_general_channel_denied",
        "user_not_found",
        "cannot_dm_bot",
        "message_not_found",
        "thread_not_found",
        "cannot_reply_to_message",
        "thread_locked",
        "cant_update_message",
        "edit_window_closed",
        "invalid_arguments",
        "invalid_arg_name",
        "channel_type_not_supported",
        "method_not_supported_for_channel_type",
        "slack_connect_blocked_file_type",
        "as_user_not_supported",
        "unknown_method",
        "unknown_subtype",
        "is_inactive",
    }
)
"""Slack would refuse the same request again."""
RATE_ERRORS = frozenset({"ratelimited", "rate_limited", "accesslimited", "message_limit_exceeded"})
DOUBTFUL_ERRORS = frozenset({"internal_error", "fatal_error", "request_timeout"})
"""Slack's own failures, after which it may have done some of what it was asked."""

BLOCK_ERRORS = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"})
"""A plain text may be accepted where these were the answer."""
LOST_MESSAGE_ERRORS = frozenset({"message_not_found", "thread_not_found"})
FROZEN_MESSAGE_ERRORS = frozenset({"edit_window_closed", "cant_update_message"})
