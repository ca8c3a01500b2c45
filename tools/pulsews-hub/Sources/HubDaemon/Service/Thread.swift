// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem

private final class ThreadBody {
  let run: @Sendable () -> Void
  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Runs `body` on a thread; nil, or why there is none.
func startThread(_ name: String, _ body: @escaping @Sendable () -> Void) -> String? {
  let context = Unmanaged.passRetained(ThreadBody(body))
  let problem = daemon_start_thread(
    name,
    { context in
      if let context { Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run() }
    }, context.toOpaque())
  if problem == 0 { return nil }
  context.release()
  return "no thread can be made: \(systemError(problem))"
}
