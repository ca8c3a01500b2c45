// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseText

/// A thread of the operating system with all signals blocked.
package struct Thread: Sendable {
  private let identifier: UInt64

  /// Starts a joinable thread; someone must `join()` or `detach()` it.
  /// - Parameter stackSize: bytes; OpenSSL wants 128 KiB.
  package static func start(
    name: Literal, stackSize: Int = 512 << 10, _ body: @escaping @Sendable () -> Void
  ) throws(TransportError) -> Thread {
    Thread(identifier: try launch(name, stackSize, detached: false, body))
  }

  /// Starts a thread that nobody waits for.
  package static func startDetached(
    name: Literal, stackSize: Int = 512 << 10, _ body: @escaping @Sendable () -> Void
  ) throws(TransportError) {
    _ = try launch(name, stackSize, detached: true, body)
  }

  /// Waits for its end. Once.
  package func join() { _ = psys_thread_join(identifier) }
  /// Gives up the right to join. Once.
  package func detach() { _ = psys_thread_detach(identifier) }

  package var isCurrent: Bool { identifier == psys_thread_self() }
  /// The calling thread's identifier, to compare with another such value.
  package static var currentIdentifier: UInt64 { psys_thread_self() }
  package static func yield() { psys_thread_yield() }

  private final class Work {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  private static func launch(
    _ name: Literal, _ stackSize: Int, detached: Bool, _ body: @escaping @Sendable () -> Void
  ) throws(TransportError) -> UInt64 {
    let work = Unmanaged.passRetained(Work(body))
    var identifier: UInt64 = 0
    let status = name.start.withMemoryRebound(to: CChar.self, capacity: name.count &+ 1) {
      psys_thread_start(
        { context in
          guard let context else { return }
          Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body()
        }, work.toOpaque(), $0, max(stackSize, 0), detached ? 1 : 0, &identifier)
    }
    if status != 0 {
      work.release()
      throw TransportError(.files, errno: -status, "can't start a thread: \(systemText(-status))")
    }
    return identifier
  }
}
