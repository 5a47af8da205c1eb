"""Intervals, paired differences and resampling: functions of arrays."""
