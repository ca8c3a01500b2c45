// SPDX-License-Identifier: Apache-2.0

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
    let address: SocketAddress
    let outcome: Outcome
    let at: Int64

    func hasFailed(since time: Int64) -> Bool { outcome != .served && at > time }
  }

  private final class Shared: ForkState, @unchecked Sendable {  // guarded by `mutex`
    /// The latest outcome of each address, the oldest first.
    let entries = UnsafeMutablePointer<Entry>.allocate(capacity: AddressMemory.limit)
    var count = 0

    deinit { entries.deallocate() }

    func index(of address: SocketAddress) -> Int? {
      for index in 0..<count where entries[index].address == address { return index }
      return nil
    }

    func hasFailed(_ address: SocketAddress, since time: Int64) -> Bool {
      guard let index = index(of: address) else { return false }
      return entries[index].hasFailed(since: time)
    }
  }

  private static let limit = 256
  private static let lifetime: Int64 = 300_000_000_000

  private static let local = ForkLocal<Shared>()

  package static func note(_ address: SocketAddress, _ outcome: Outcome) {
    let shared = local.locked()
    defer { shared.mutex.unlock() }
    if let old = shared.index(of: address) ?? (shared.count == limit ? 0 : nil) {
      shared.count &-= 1
      for index in old..<shared.count { shared.entries[index] = shared.entries[index &+ 1] }
    }
    shared.entries[shared.count] = Entry(address: address, outcome: outcome, at: Clock.monotonic())
    shared.count &+= 1
  }

  /// Those that have not failed lately in the order given, then the others, the one that failed first before.
  /// `sound`: how many have not.
  package static func ordered(_ list: [SocketAddress]) -> (list: [SocketAddress], sound: Int) {
    let shared = local.locked()
    defer { shared.mutex.unlock() }
    let since = Clock.monotonic() &- lifetime
    var result: [SocketAddress] = []
    for address in list where !shared.hasFailed(address, since: since) { result.add(address) }
    let sound = result.count
    for index in 0..<shared.count where shared.entries[index].hasFailed(since: since) {
      for address in list where address == shared.entries[index].address { result.add(address) }
    }
    return (result, sound)
  }

  /// Whether one of the list has served, or failed in a way that may pass.
  package static func hasHope(_ list: [SocketAddress]) -> Bool {
    let shared = local.locked()
    defer { shared.mutex.unlock() }
    for address in list {
      if let index = shared.index(of: address), shared.entries[index].outcome != .failedForGood { return true }
    }
    return false
  }

  /// Whether one of the list, from this index on, has not failed lately.
  package static func hasSound(_ list: [SocketAddress], from first: Int) -> Bool {
    let shared = local.locked()
    defer { shared.mutex.unlock() }
    let since = Clock.monotonic() &- lifetime
    var index = first
    while index < list.count {
      if !shared.hasFailed(list[index], since: since) { return true }
      index &+= 1
    }
    return false
  }
}
