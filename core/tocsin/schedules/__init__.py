"""When flows run: clocks emit moments, filters choose among them, adjustments move them."""

from tocsin.schedules import adjustments, clocks, filters
from tocsin.schedules.schedules import CronSchedule, DatesSchedule, IntervalSchedule, RRuleSchedule, Schedule

__all__ = [
    "CronSchedule",
    "DatesSchedule",
    "IntervalSchedule",
    "RRuleSchedule",
    "Schedule",
    "adjustments",
    "clocks",
    "filters",
]
