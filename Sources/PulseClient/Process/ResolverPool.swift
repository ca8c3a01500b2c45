// SPDX-License-Identifier: Apache-2.0
import PulseText
import PulseTransport

/// Threads that resolve host names, since the system's resolver blocks, for minutes where a zone is dead. A name is
/// looked up once at a time, for all who ask for it, so that it costs one thread, whoever comes back for it. Threads
/// start on demand and end when there is nothing left to do. A look-up can't be stopped.
enum ResolverPool {
  private final class Lookup {
    let host: String
    let name: [UInt8]
    /// FNV-1a.
    let hash: UInt
    var isRunning = false
    var waiters: [Connection] = []

    init(_ host: String, _ name: [UInt8]) {
      self.host = host
      self.name = name
      var hash: UInt = 0xCBF2_9CE4_8422_2325
      for byte in name { hash = (hash ^ UInt(byte)) &* 0x100_0000_01B3 }
      self.hash = hash
    }
  }

  private final class Shared: ForkState, @unchecked Sendable {  // guarded by `mutex`
    var lookups: [Lookup] = []
    var threads = 0
    /// Hashes of names that were not resolved when they were looked up last, or in time: they let the others go first.
    /// Each has one place, that of its last bits.
    let troubled = UnsafeMutablePointer<UInt>.allocate(capacity: ResolverPool.troubledLimit)

    required init() { troubled.initialize(repeating: 0, count: ResolverPool.troubledLimit) }

    deinit { troubled.deallocate() }
  }

  private static let threadLimit = 64
  /// A power of two.
  private static let troubledLimit = 256

  private static let local = ForkLocal<Shared>()

  /// Calls `connection.resolved` from a thread later. False if there is no thread to do it.
  static func submit(_ host: String, for connection: Connection) -> Bool {
    let shared = local.locked()
    defer { shared.mutex.unlock() }
    let name = host.bytes
    for lookup in shared.lookups where lookup.name == name {
      lookup.waiters.append(connection)
      return true
    }
    if shared.threads < threadLimit {
      do throws(TransportError) {
        try Thread.startDetached(name: "pulsews-dns") { ResolverPool.work(shared) }
        shared.threads += 1
      } catch {
        if shared.threads == 0 { return false }
      }
    }
    let lookup = Lookup(host, name)
    lookup.waiters.append(connection)
    shared.lookups.append(lookup)
    return true
  }

  /// The connection does not wait any more.
  static func leave(_ connection: Connection) {
    let shared = local.locked()
    defer { shared.mutex.unlock() }
    guard let lookup = find(connection, shared) else { return }
    let last = lookup.waiters.removeLast()
    for index in lookup.waiters.indices where lookup.waiters[index] === connection { lookup.waiters[index] = last }
    if lookup.isRunning {
      note(lookup, isTroubled: true, shared)
    } else if lookup.waiters.isEmpty {
      remove(lookup, shared)
    }
  }

  /// How many look-ups keep that of the connection from beginning; 0 if it has begun.
  static func stuck(before connection: Connection) -> Int {
    let shared = local.locked()
    defer { shared.mutex.unlock() }
    guard let lookup = find(connection, shared), !lookup.isRunning else { return 0 }
    return shared.threads
  }

  private static func find(_ connection: Connection, _ shared: Shared) -> Lookup? {
    for lookup in shared.lookups {
      for waiter in lookup.waiters where waiter === connection { return lookup }
    }
    return nil
  }

  @inline(never)
  private static func remove(_ lookup: Lookup, _ shared: Shared) {
    for index in shared.lookups.indices where shared.lookups[index] === lookup {
      shared.lookups.remove(at: index)
      return
    }
  }

  private static func note(_ lookup: Lookup, isTroubled: Bool, _ shared: Shared) {
    let place = Int(lookup.hash & UInt(troubledLimit - 1))
    if isTroubled { shared.troubled[place] = lookup.hash } else if isTroubledNow(lookup, shared) { shared.troubled[place] = 0 }
  }

  private static func isTroubledNow(_ lookup: Lookup, _ shared: Shared) -> Bool {
    shared.troubled[Int(lookup.hash & UInt(troubledLimit - 1))] == lookup.hash
  }

  /// Names that resolved before, or were never tried, before those that made trouble.
  private static func next(_ shared: Shared) -> Lookup? {
    var late: Lookup?
    for lookup in shared.lookups where !lookup.isRunning {
      if !isTroubledNow(lookup, shared) { return lookup }
      if late == nil { late = lookup }
    }
    return late
  }

  private static func work(_ shared: Shared) {
    shared.mutex.lock()
    while let lookup = next(shared) {
      lookup.isRunning = true
      shared.mutex.unlock()
      let answer = AddressResolver.resolve(host: lookup.host, port: 0)
      var isTroubled = true
      if case .success = answer { isTroubled = false }
      shared.mutex.lock()
      note(lookup, isTroubled: isTroubled, shared)
      remove(lookup, shared)
      shared.mutex.unlock()
      // Nobody joins or leaves it any more.
      for waiter in lookup.waiters { waiter.resolved(answer) }
      shared.mutex.lock()
    }
    shared.threads -= 1
    shared.mutex.unlock()
  }
}
