// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseText
import PulseTransport

/// Threads that resolve host names, since the system's resolver blocks. They start on demand, at most four at once,
/// and end when there is nothing left to do. A look-up can't be stopped: its answer finds out whether it is wanted.
enum ResolverPool {
  private struct Job {
    let host: String
    let port: UInt16
    let connection: Connection
  }

  private final class Shared: @unchecked Sendable {  // guarded by `mutex`
    let forkGeneration = psys_fork_generation()
    let mutex = Mutex()
    var jobs: [Job] = []
    var threads = 0
  }

  private static let threadLimit = 4

  // Replaced only in a child after fork(); see `DefaultHost`.
  nonisolated(unsafe) private static var current = Shared()

  private static func shared() -> Shared {
    if current.forkGeneration != psys_fork_generation() {
      _ = Unmanaged.passRetained(current)
      current = Shared()
    }
    return current
  }

  /// Calls `connection.resolved` from a thread later. False if there is no thread to do it.
  static func submit(host: String, port: UInt16, for connection: Connection) -> Bool {
    let shared = shared()
    shared.mutex.lock()
    defer { shared.mutex.unlock() }
    if shared.threads < threadLimit {
      do throws(TransportError) {
        try Thread.startDetached(name: "pulsews-dns") { ResolverPool.work(shared) }
        shared.threads += 1
      } catch {
        if shared.threads == 0 { return false }
      }
    }
    shared.jobs.append(Job(host: host, port: port, connection: connection))
    return true
  }

  private static func work(_ shared: Shared) {
    shared.mutex.lock()
    while !shared.jobs.isEmpty {
      let job = shared.jobs.removeFirst()
      shared.mutex.unlock()
      // Behind slow look-ups an attempt may have given up: its name must not hold up the others.
      if job.connection.isResolving { job.connection.resolved(AddressResolver.resolve(host: job.host, port: job.port)) }
      shared.mutex.lock()
    }
    shared.threads -= 1
    shared.mutex.unlock()
  }
}
