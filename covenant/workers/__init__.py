"""Where tasks run: in this process, in processes of this machine, or on a cluster; results in the order of the tasks whatever the number of workers."""

from covenant.workers.given import shared
from covenant.workers.pool import Pool, Task, WorkerLost, in_order, workers

__all__ = ["Pool", "Task", "WorkerLost", "in_order", "shared", "workers"]
