// SPDX-License-Identifier: Apache-2.0
import PulseServe
import PulseText
import Testing

private let second: Int64 = 1_000_000_000

private func v4(_ number: Int) -> AddressKey { AddressKey(IPAddress(ipv4: UInt32(number))) }

private func limits(
  connections: UInt32 = 0, connects: UInt32 = 0, failures: UInt32 = 0, entries: Int = AddressBook.maxEntries
) -> AddressLimits {
  var limits = AddressLimits()
  limits.connections = connections
  limits.connects = connects
  limits.connectWindow = 10 * second
  limits.failures = failures
  limits.failureWindow = 60 * second
  limits.ban = 300 * second
  limits.entries = entries
  return limits
}

struct AddressBookTests {
  @Test func keys() throws {
    func key(_ text: String) throws -> AddressKey { AddressKey(try #require(IPAddress.parse(Array(text.utf8)[...]))) }
    #expect(try key("2001:db8:1:2::1") == key("2001:db8:1:2:ffff::9") && key("2001:db8:1:2::1") != key("2001:db8:1:3::1"))
    #expect(try key("1.2.3.4") == key("::ffff:1.2.3.4") && key("1.2.3.4") != key("1.2.3.5"))
    // Nothing of one kind is something of another.
    #expect(try key("::1") != AddressKey.unix && key("0.0.0.0") != AddressKey.unix && key("0.0.0.0") != key("::"))
  }

  @Test func connections() {
    let book = AddressBook(limits(connections: 2), seed: 1)
    #expect(book.connect(v4(1), now: 0) == .allowed && book.connect(v4(1), now: 0) == .allowed)
    #expect(book.connect(v4(1), now: 0) == .tooMany(.connections, retryAfter: 5))
    #expect(book.connect(v4(2), now: 0) == .allowed && book.connect(.unix, now: 0) == .allowed)
    book.disconnect(v4(1))
    #expect(book.connect(v4(1), now: 0) == .allowed)
    #expect(book.connect(v4(1), now: 0) == .tooMany(.connections, retryAfter: 5))
    // Of an address that has none.
    for _ in 0..<5 { book.disconnect(v4(9)) }
    #expect(book.connect(v4(1), now: 0) == .tooMany(.connections, retryAfter: 5))
  }

  @Test func connects() {
    let book = AddressBook(limits(connects: 3), seed: 1)
    for _ in 0..<3 {
      #expect(book.connect(v4(1), now: 5) == .allowed)
      book.disconnect(v4(1))
    }
    #expect(book.connect(v4(1), now: 5) == .tooMany(.connects, retryAfter: 10))
    #expect(book.connect(v4(1), now: 5 + 10 * second - 1) == .tooMany(.connects, retryAfter: 1))
    for _ in 0..<3 { #expect(book.connect(v4(1), now: 5 + 10 * second) == .allowed) }
    #expect(book.connect(v4(1), now: 5 + 10 * second) == .tooMany(.connects, retryAfter: 10))
  }

  @Test func failures() {
    let book = AddressBook(limits(failures: 3), seed: 1)
    #expect(!book.failed(v4(1), now: 0) && !book.failed(v4(1), now: 1) && !book.isBanned(v4(1), now: 1))
    #expect(book.failed(v4(1), now: 2) && book.isBanned(v4(1), now: 2) && !book.isBanned(v4(2), now: 2))
    #expect(book.connect(v4(1), now: 2) == .tooMany(.failures, retryAfter: 300))
    #expect(book.connect(v4(2), now: 2) == .allowed)
    #expect(book.isBanned(v4(1), now: 300 * second + 1) && !book.isBanned(v4(1), now: 300 * second + 2))
    #expect(book.connect(v4(1), now: 300 * second + 2) == .allowed)
    // A window that is over does not count.
    let time = 1000 * second
    #expect(!book.failed(v4(3), now: time) && !book.failed(v4(3), now: time) && !book.failed(v4(3), now: time + 60 * second))
    #expect(!book.failed(v4(3), now: time + 60 * second) && book.failed(v4(3), now: time + 60 * second))
    let free = AddressBook(limits(), seed: 1)
    for _ in 0..<100 { #expect(!free.failed(v4(1), now: 0)) }
  }

  @Test func idleEntriesGo() {
    let book = AddressBook(limits(connects: 5), seed: 1)
    for number in 0..<1000 {
      #expect(book.connect(v4(number), now: 0) == .allowed)
      book.disconnect(v4(number))
    }
    #expect(book.count == 1000)
    // Two are looked at for each that comes.
    for number in 1000..<2000 { #expect(book.connect(v4(number), now: 10 * second) == .allowed) }
    #expect(book.count <= 1010, "\(book.count)")
  }

  @Test func fullOfConnections() {
    let book = AddressBook(limits(connections: 2, failures: 2, entries: 100), seed: 1)
    for number in 0..<100 { #expect(book.connect(v4(number), now: 0) == .allowed) }
    // Strangers share one entry; those that are known have their own.
    #expect(book.connect(v4(1000), now: 0) == .allowed && book.connect(v4(1001), now: 0) == .allowed)
    #expect(book.connect(v4(1002), now: 0) == .tooMany(.connections, retryAfter: 5) && book.count == 100)
    for number in 0..<100 { #expect(book.connect(v4(number), now: 0) == .allowed) }
    book.disconnect(v4(1000))
    #expect(book.connect(v4(1002), now: 0) == .allowed)
    _ = book.failed(v4(1003), now: 0)
    #expect(book.failed(v4(1004), now: 0) && book.isBanned(v4(1005), now: 0) && !book.isBanned(v4(5), now: 0))
    // With room again a stranger gets an entry, and the strangers' connections still end.
    book.disconnect(v4(7))
    book.disconnect(v4(7))
    #expect(book.connect(v4(1002), now: 11 * second) == .allowed && book.count == 100 && !book.isBanned(v4(1002), now: 11 * second))
    for _ in 0..<2 { book.disconnect(v4(1002)) }
    book.disconnect(v4(1001))
    #expect(book.connect(v4(2000), now: 400 * second) == .allowed && book.connect(v4(2001), now: 400 * second) == .allowed)
  }

  @Test func fullOfVisitors() {
    let book = AddressBook(limits(connects: 2, failures: 1, entries: 50), seed: 1)
    for number in 0..<10 { #expect(book.connect(v4(number), now: 0) == .allowed) }
    for number in 10..<20 { _ = book.failed(v4(number), now: 0) }
    // Who left without a failure makes room, so that a flood of addresses shuts nobody out.
    for number in 20..<5000 {
      #expect(book.connect(v4(number), now: 1) == .allowed)
      book.disconnect(v4(number))
    }
    #expect(book.count == 50)
    for number in 10..<20 { #expect(book.isBanned(v4(number), now: 1)) }
    for number in 0..<10 { #expect(book.connect(v4(number), now: 1) == .allowed) }
    for number in 0..<10 { #expect(book.connect(v4(number), now: 1) == .tooMany(.connects, retryAfter: 10)) }
  }

  @Test func changes() {
    let book = AddressBook(limits(connections: 5, entries: 100), seed: 1)
    for number in 0..<100 { #expect(book.connect(v4(number), now: 0) == .allowed) }
    book.change(limits(connections: 1, entries: 10))
    #expect(book.connect(v4(1), now: 0) == .tooMany(.connections, retryAfter: 5))
    #expect(book.connect(v4(500), now: 0) == .allowed)
    #expect(book.connect(v4(501), now: 0) == .tooMany(.connections, retryAfter: 5))
    for number in 0..<100 { book.disconnect(v4(number)) }
    for number in 1000..<1200 {
      _ = book.connect(v4(number), now: 20 * second)
      book.disconnect(v4(number))
    }
    #expect(book.count <= 10, "\(book.count)")
    var wild = limits(connections: 1, connects: 1, failures: 1, entries: .max)
    (wild.ban, wild.connectWindow, wild.failureWindow) = (.max, .max, .min)
    book.change(wild)
    #expect(book.failed(v4(1), now: .max / 2) && book.isBanned(v4(1), now: .max / 2))
    wild.entries = -1
    book.change(wild)
    _ = book.connect(v4(77), now: .max)
  }

  /// Against counts in a dictionary, with few entries, so that they grow, move and go.
  @Test(arguments: [1, 2, 3]) func manyAgainstAModel(_ seed: UInt64) {
    let book = AddressBook(limits(connections: 3), seed: seed)
    var model: [Int: UInt32] = [:]
    var state = seed
    var time: Int64 = 0
    func draw(_ below: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % below
    }
    for step in 0..<60_000 {
      // Close to each other and far apart.
      let number = draw(2) == 0 ? draw(400) : draw(400) << 20
      let open = model[number] ?? 0
      if draw(2) == 0 {
        let verdict = book.connect(v4(number), now: time)
        #expect(verdict == (open < 3 ? .allowed : .tooMany(.connections, retryAfter: 5)))
        if verdict == .allowed { model[number] = open + 1 }
      } else if open > 0 {
        book.disconnect(v4(number))
        model[number] = open - 1
      }
      if step % 10 == 0 { time += second }
    }
    #expect(book.count >= model.values.count { $0 > 0 } && book.count < 900)
  }

  @Test func theMost() {
    let book = AddressBook(limits(connections: 1), seed: 7)
    for number in 0..<AddressBook.maxEntries + 10 { _ = book.connect(v4(number), now: 0) }
    #expect(book.count == AddressBook.maxEntries)
    #expect(book.connect(v4(5), now: 0) == .tooMany(.connections, retryAfter: 5))
  }
}

/// #expect takes no calls that change a value.
private final class Held {
  private var bucket: Bucket
  init(rate: UInt32, burst: UInt32) { bucket = Bucket(rate: rate, burst: burst) }
  func take(_ count: Int, now: Int64) -> Bool { bucket.take(count, now: now) }
  func charge(_ count: Int, now: Int64) -> Int64 { bucket.charge(count, now: now) }
}

struct BucketTests {
  @Test func rates() {
    let bucket = Held(rate: 3, burst: 3)
    #expect(MemoryLayout<Bucket>.size == 16)
    for _ in 0..<3 { #expect(bucket.take(1, now: 0)) }
    #expect(!bucket.take(1, now: 0) && !bucket.take(1, now: second / 3 - 2) && bucket.take(1, now: second / 3))
    #expect(!bucket.take(1, now: second / 3))
    // No more than the burst is saved up.
    for _ in 0..<3 { #expect(bucket.take(1, now: 100 * second)) }
    #expect(!bucket.take(1, now: 100 * second))
    #expect(!bucket.take(4, now: 1000 * second) && bucket.take(3, now: 1000 * second) && bucket.take(0, now: 1000 * second))
  }

  @Test func longRun() {
    for rate in [1, 7, 1000, 1_000_000] as [UInt32] {
      let bucket = Held(rate: rate, burst: 10)
      var taken = 0
      let step = second / Int64(rate) / 3 + 1
      var time: Int64 = 0
      while time < 1000 * step {
        if bucket.take(1, now: time) { taken += 1 }
        time += step
      }
      let most = Int64(rate) * time / second + 11
      #expect(taken <= most && taken >= most - 3, "\(rate): \(taken) of \(most)")
    }
  }

  @Test func debts() {
    let bucket = Held(rate: 1000, burst: 500)
    #expect(bucket.charge(500, now: 0) == 0 && bucket.charge(100, now: 0) == second / 10)
    #expect(!bucket.take(1, now: second / 10) && bucket.charge(0, now: second / 10) == 0)
    #expect(bucket.take(1, now: second / 10 + second / 1000))
  }

  @Test func ends() {
    let free = Held(rate: 0, burst: 0)
    #expect(free.take(.max, now: 0) && free.charge(.max, now: 0) == 0)
    let bucket = Held(rate: 1, burst: .max)
    for now in [0, .max, .min, -1] as [Int64] {
      for count in [.max, .min, 0, 1] as [Int] {
        _ = bucket.take(count, now: now)
        #expect(bucket.charge(count, now: now) >= 0)
      }
    }
    let fast = Held(rate: .max, burst: 0)
    #expect(fast.take(1, now: 0) && !fast.take(1, now: 0) && fast.take(1, now: 1))
  }
}
