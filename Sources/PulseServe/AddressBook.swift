// SPDX-License-Identifier: Apache-2.0
import PulseText

/// What limits go by: an IPv4 address, the /64 of an IPv6 address, all Unix sockets together, or a user.
package struct AddressKey: Equatable, Sendable {
  package let bits: UInt64
  /// 4, 6, 0 for a Unix socket, or 1 for a user.
  package let kind: UInt8

  package init(_ address: IPAddress) {
    kind = address.isIPv4 ? 4 : 6
    bits = address.isIPv4 ? address.low & 0xFFFF_FFFF : address.high
  }

  /// By a digest: of two users with the same one both count for both.
  package init(user: [UInt8], seed: UInt64) {
    kind = 1
    var digest = seed ^ 0xCBF2_9CE4_8422_2325
    for byte in user { digest = (digest ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
    bits = digest ^ digest >> 29
  }

  private init() {
    kind = 0
    bits = 0
  }

  package static var unix: AddressKey { AddressKey() }
}

/// For each address; 0 is no limit. Times in ns.
package struct AddressLimits: Sendable {
  package var connections: UInt32 = 0
  /// In a window, which the first connect begins.
  package var connects: UInt32 = 0
  package var connectWindow: Int64 = 60_000_000_000
  /// So many failed logins in a window ban the address for a while.
  package var failures: UInt32 = 0
  package var failureWindow: Int64 = 60_000_000_000
  package var ban: Int64 = 300_000_000_000
  /// How many addresses are known at a time, at most `AddressBook.maxEntries`.
  package var entries = AddressBook.maxEntries

  package init() {}
}

/// Counts connections, connects and failed logins of addresses. When it is full, an address without a connection and
/// without a failed login makes room; if there is none, strangers share one entry, so that memory stays bounded and
/// those that are known are served. `now`: monotonic, in ns. Not thread safe; its owner locks.
package final class AddressBook {
  package static let maxEntries = 100_000

  package enum Limit: UInt8, Sendable {
    case connections, connects, failures

    package var sentence: Literal {
      switch self {
      case .connections: "there are too many connections from this address"
      case .connects: "there were too many connects from this address in a short time"
      case .failures: "there were too many failed logins from this address"
      }
    }
  }

  package enum Verdict: Equatable, Sendable {
    case allowed
    /// retryAfter: seconds, at least 1.
    case tooMany(Limit, retryAfter: Int)
  }

  /// When a connection may end is not known.
  private static let connectionsRetry = 5
  /// How many entries are looked at to find room.
  private static let searched = 64
  private static let longest: Int64 = 100_000_000_000_000_000

  private var limits: AddressLimits
  private var table: AddressTable
  private var strangers = AddressEntry(AddressKey.unix)
  /// The next entry to be looked at for whether it is still needed.
  private var hand = 0

  /// The seed is random and secret: clients choose their addresses.
  package init(_ limits: AddressLimits, seed: UInt64) {
    self.limits = AddressBook.sound(limits)
    table = AddressTable(seed: seed)
  }

  deinit { table.deallocate() }

  /// New limits for what comes from now on. Fewer entries are reached as those that are there are no longer needed.
  package func change(_ limits: AddressLimits) { self.limits = AddressBook.sound(limits) }

  /// How many addresses have an entry of their own.
  package var count: Int { table.count }

  /// Counts the connection if it is allowed: then `disconnect` has to follow, once.
  package func connect(_ address: AddressKey, now: Int64) -> Verdict {
    guard let index = entry(address, now) else { return admit(&strangers, now) }
    return admit(&table.entries[index], now)
  }

  /// Whichever entry counted the connection: the sum is right, and strangers' are found where the address has none.
  package func disconnect(_ address: AddressKey) {
    if let index = table.find(address), table.entries[index].connections > 0 {
      table.entries[index].connections &-= 1
    } else if strangers.connections > 0 {
      strangers.connections &-= 1
    }
  }

  /// A failed login. True if it bans the address.
  package func failed(_ address: AddressKey, now: Int64) -> Bool {
    if limits.failures == 0 { return false }
    guard let index = entry(address, now) else { return note(&strangers, now) }
    return note(&table.entries[index], now)
  }

  package func isBanned(_ address: AddressKey, now: Int64) -> Bool {
    if let index = table.find(address) { return table.entries[index].bannedUntil > now }
    return table.count >= limits.entries && strangers.bannedUntil > now
  }

  private static func sound(_ limits: AddressLimits) -> AddressLimits {
    var sound = limits
    sound.entries = min(max(limits.entries, 0), maxEntries)
    sound.connectWindow = min(max(limits.connectWindow, 0), longest)
    sound.failureWindow = min(max(limits.failureWindow, 0), longest)
    sound.ban = min(max(limits.ban, 0), longest)
    return sound
  }

  @inline(never) private func admit(_ entry: inout AddressEntry, _ now: Int64) -> Verdict {
    if entry.bannedUntil > now { return .tooMany(.failures, retryAfter: AddressBook.seconds(entry.bannedUntil &- now)) }
    if limits.connections != 0, entry.connections >= limits.connections {
      return .tooMany(.connections, retryAfter: AddressBook.connectionsRetry)
    }
    let passed = now &- entry.connectsSince
    if entry.connects == 0 || passed >= limits.connectWindow {
      entry.connects = 0
      entry.connectsSince = now
    } else if limits.connects != 0, entry.connects >= limits.connects {
      return .tooMany(.connects, retryAfter: AddressBook.seconds(limits.connectWindow &- passed))
    }
    if entry.connects < UInt32.max { entry.connects &+= 1 }
    if entry.connections < UInt32.max { entry.connections &+= 1 }
    return .allowed
  }

  @inline(never) private func note(_ entry: inout AddressEntry, _ now: Int64) -> Bool {
    if entry.failures == 0 || now &- entry.failuresSince >= limits.failureWindow {
      entry.failures = 0
      entry.failuresSince = now
    }
    entry.failures &+= 1
    if entry.failures < limits.failures { return false }
    entry.failures = 0
    entry.bannedUntil = now &+ limits.ban
    return true
  }

  private static func seconds(_ nanoseconds: Int64) -> Int {
    max(1, Int(truncatingIfNeeded: nanoseconds / 1_000_000_000) &+ (nanoseconds % 1_000_000_000 > 0 ? 1 : 0))
  }

  // MARK: Room

  /// The entry of the address, new if need be; nil when there is no room for a stranger.
  private func entry(_ address: AddressKey, _ now: Int64) -> Int? {
    if let index = table.find(address) { return index }
    // More leave than come, so that what is not needed does not stay.
    for _ in 0..<2 { _ = look(now) }
    if table.count >= limits.entries, !makeRoom(now) { return nil }
    return table.add(address)
  }

  /// Looks at the entry under the hand; false if it stays.
  private func look(_ now: Int64) -> Bool {
    if hand >= table.count { hand = 0 }
    if hand < table.count, !hasFailed(hand, now), !hasConnected(hand, now) {
      table.remove(hand)
      return true
    }
    hand &+= 1
    return false
  }

  @inline(never) private func makeRoom(_ now: Int64) -> Bool {
    var found: Int?
    for _ in 0..<min(AddressBook.searched, table.count) {
      if look(now) { return table.count < limits.entries }
      let seen = hand &- 1
      if found == nil, table.entries[seen].connections == 0, !hasFailed(seen, now) { found = seen }
    }
    guard let found else { return false }
    table.remove(found)
    return table.count < limits.entries
  }

  private func hasFailed(_ index: Int, _ now: Int64) -> Bool {
    let entry = table.entries[index]
    return entry.bannedUntil > now || entry.failures > 0 && now &- entry.failuresSince < limits.failureWindow
  }

  private func hasConnected(_ index: Int, _ now: Int64) -> Bool {
    let entry = table.entries[index]
    return entry.connections > 0 || entry.connects > 0 && now &- entry.connectsSince < limits.connectWindow
  }
}
