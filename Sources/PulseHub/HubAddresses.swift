// SPDX-License-Identifier: Apache-2.0
import PulseServe
import PulseTransport

/// What addresses and users may do, over all loops.
final class HubAddresses: @unchecked Sendable {  // guarded by `mutex`
  private let mutex = Mutex()
  private let book: AddressBook
  private let users: AddressBook
  private let seed: UInt64
  private(set) var limitsUsers = false

  init(seed: UInt64) {
    self.seed = seed
    book = AddressBook(AddressLimits(), seed: seed)
    users = AddressBook(AddressLimits(), seed: seed)
  }

  /// Whether there is anything to count.
  func set(for hub: Hub) -> Bool {
    var limits = AddressLimits()
    limits.connections = UInt32(clamping: hub.options.addressConnections)
    limits.connects = UInt32(clamping: hub.options.addressConnects)
    limits.connectWindow = 10_000_000_000
    limits.failures =
      hub.options.auth == .none && hub.options.publishToken.isEmpty && hub.options.statusToken.isEmpty && hub.keys.isEmpty
      ? 0 : UInt32(clamping: hub.options.addressFailures)
    limits.failureWindow = 60_000_000_000
    limits.ban = 60_000_000_000
    book.change(limits)
    var forUsers = AddressLimits()
    forUsers.connections = UInt32(clamping: hub.options.userConnections)
    users.change(forUsers)
    limitsUsers = forUsers.connections > 0
    return limits.connections > 0 || limits.connects > 0 || limits.failures > 0
  }

  /// If it is allowed, `disconnect` has to follow.
  func connect(_ key: AddressKey, _ now: Int64) -> AddressBook.Verdict { mutex.withLock { book.connect(key, now: now) } }
  func disconnect(_ key: AddressKey) { mutex.withLock { book.disconnect(key) } }

  /// One more peer of a user, who has a name; nil if he has as many as he may have. `leave` has to follow.
  func join(_ user: [UInt8], _ now: Int64) -> AddressKey? {
    let key = AddressKey(user: user, seed: seed)
    return mutex.withLock { users.connect(key, now: now) } == .allowed ? key : nil
  }
  func leave(_ key: AddressKey) { mutex.withLock { users.disconnect(key) } }

  func failed(_ key: AddressKey, _ now: Int64) { mutex.withLock { _ = book.failed(key, now: now) } }
}
