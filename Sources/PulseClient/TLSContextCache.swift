// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseTransport

/// Loading the system's certificates takes milliseconds and a megabyte: clients with the system's trust share a
/// context. A CA file may change, so that it is read for each client.
enum TLSContextCache {
  private final class Shared: @unchecked Sendable {  // guarded by `mutex`
    let forkGeneration = psys_fork_generation()
    let mutex = Mutex()
    var verified: TLSContext?
    var unverified: TLSContext?
  }

  // Replaced only in a child after fork(); see `DefaultHost`.
  nonisolated(unsafe) private static var current = Shared()

  static func context(caFile: String?, verify: Bool) throws(TransportError) -> TLSContext {
    if let caFile { return try TLSContext(caFile: caFile, verify: verify) }
    if current.forkGeneration != psys_fork_generation() {
      _ = Unmanaged.passRetained(current)
      current = Shared()
    }
    let shared = current
    shared.mutex.lock()
    defer { shared.mutex.unlock() }
    if let known = verify ? shared.verified : shared.unverified { return known }
    let made = try TLSContext(caFile: nil, verify: verify)
    if verify { shared.verified = made } else { shared.unverified = made }
    return made
  }
}
