# SPDX-License-Identifier: Apache-2.0
"""Whether gevent or eventlet has replaced the threads of this process by its own, which a foreign call stops all."""

from __future__ import annotations

import _thread


def threads_are_green() -> bool:
    return getattr(_thread.start_new_thread, "__module__", None) not in (None, "_thread")
