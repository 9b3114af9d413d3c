"""From what the user wrote to captured graphs: functions (fx) and TorchScript groups."""
