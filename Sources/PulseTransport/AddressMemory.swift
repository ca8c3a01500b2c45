// SPDX-License-Identifier: Apache-2.0
import CPulseSys

/// What the process knows of addresses that took a TCP connection. One where TLS, the proxy or the upgrade then failed
/// would win the next race of connects as well: it goes behind the others for a while, never out of the list, and a
/// success forgets it.
package enum AddressMemory {
  package enum Outcome {
    case served, failed
    /// In a way that a retry at this address does not mend.
    case failedForGood
  }

  private struct Entry {
    var address: SocketAddress
    var outcome: Outcome
    var at: Int64
  }

  private final class Shared: @unchecked Sendable {  // guarded by `mutex`
    let forkGeneration = psys_fork_generation()
    let mutex = Mutex()
    /// The latest outcome of each address.
    let entries = UnsafeMutablePointer<Entry>.allocate(capacity: AddressMemory.limit)
    var count = 0
    /// No two are of one time.
    var latest: Int64 = 0

    func index(of address: SocketAddress) -> Int? {
      for index in 0..<count where entries[index].address == address { return index }
      return nil
    }

    /// When it failed, if that was lately; else 0.
    func failure(of address: SocketAddress, _ now: Int64) -> Int64 {
      guard let index = index(of: address), entries[index].outcome != .served else { return 0 }
      let at = entries[index].at
      return at &+ AddressMemory.lifetime > now ? at : 0
    }
  }

  private static let limit = 256
  private static let lifetime: Int64 = 300_000_000_000

  // Replaced only in a child after fork(): the parent's lock may be taken by a thread that does not exist there.
  nonisolated(unsafe) private static var current = Shared()

  private static func locked() -> Shared {
    if current.forkGeneration != psys_fork_generation() {
      _ = Unmanaged.passRetained(current)
      current = Shared()
    }
    current.mutex.lock()
    return current
  }

  package static func note(_ address: SocketAddress, _ outcome: Outcome) {
    let shared = locked()
    defer { shared.mutex.unlock() }
    shared.latest = max(Clock.monotonic(), shared.latest &+ 1)
    var place = shared.index(of: address) ?? shared.count
    if place == limit {
      place = 0
      for index in 1..<limit where shared.entries[index].at < shared.entries[place].at { place = index }
    } else if place == shared.count {
      shared.count &+= 1
    }
    shared.entries[place] = Entry(address: address, outcome: outcome, at: shared.latest)
  }

  /// Those that have not failed lately in the order given, then the others, the one that failed first before.
  /// `sound`: how many have not.
  package static func ordered(_ list: [SocketAddress]) -> (list: [SocketAddress], sound: Int) {
    let shared = locked()
    defer { shared.mutex.unlock() }
    let now = Clock.monotonic()
    var result: [SocketAddress] = []
    for address in list where shared.failure(of: address, now) == 0 { result.append(address) }
    let sound = result.count
    var last: Int64 = 0
    while result.count < list.count {
      var next = Int64.max
      for address in list {
        let at = shared.failure(of: address, now)
        if at > last && at < next { next = at }
      }
      for address in list where shared.failure(of: address, now) == next { result.append(address) }
      last = next
    }
    return (result, sound)
  }

  /// Whether one of the list has served, or failed in a way that may pass.
  package static func hasHope(_ list: [SocketAddress]) -> Bool {
    let shared = locked()
    defer { shared.mutex.unlock() }
    for address in list {
      if let index = shared.index(of: address), shared.entries[index].outcome != .failedForGood { return true }
    }
    return false
  }

  /// Whether one of the list, from this index on, has not failed lately.
  package static func hasSound(_ list: [SocketAddress], from first: Int) -> Bool {
    let shared = locked()
    defer { shared.mutex.unlock() }
    let now = Clock.monotonic()
    var index = first
    while index < list.count {
      if shared.failure(of: list[index], now) == 0 { return true }
      index &+= 1
    }
    return false
  }
}
