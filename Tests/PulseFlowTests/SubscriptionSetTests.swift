// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import PulseFlow

/// A reproducible source for the property test.
private struct Dice {
  var state: UInt64
  mutating func roll(_ sides: Int) -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int(state >> 33) % sides
  }
}

private func utf8(_ text: String) -> [UInt8] { Array(text.utf8) }

@discardableResult
private func add(
  _ set: SubscriptionSet, _ key: String, _ subscribe: String? = nil, _ unsubscribe: String? = nil
) -> SubscriptionChange {
  set.add(key: utf8(key), subscribe: subscribe.map(utf8), unsubscribe: unsubscribe.map(utf8))
}

@discardableResult
private func remove(_ set: SubscriptionSet, _ key: String) -> Bool { set.remove(key: utf8(key)) }

/// "+a,b" for keys to subscribe by template, "-a" to unsubscribe, "+a:text" and "-a:text" for own messages.
private func describe(_ work: SubscriptionWork) -> String {
  func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
  switch work {
  case .subscribe(let keys): return "+" + keys.map(text).joined(separator: ",")
  case .unsubscribe(let keys): return "-" + keys.map(text).joined(separator: ",")
  case .text(let message, let key, let isUnsubscribe):
    return (isUnsubscribe ? "-" : "+") + text(key) + ":" + text(message)
  }
}

private func drain(_ set: SubscriptionSet, batch: Int = 10) -> [String] {
  var all: [String] = []
  while let work = set.next(batch: batch) { all.append(describe(work)) }
  return all
}

@Suite struct SubscriptionSetTests {
  @Test func sendsInOrderAndInBatches() {
    let set = SubscriptionSet()
    for key in ["a", "b", "c", "d", "e"] { #expect(add(set, key) == .changed) }
    #expect(set.count == 5 && set.pending == 5)
    #expect(drain(set, batch: 2) == ["+a,b", "+c,d", "+e"])
    #expect(set.pending == 0 && set.next(batch: 2) == nil)
    set.beginConnection()
    #expect(drain(set, batch: 0) == ["+a", "+b", "+c", "+d", "+e"])
  }

  @Test func ownMessagesKeepTheirPlaceBetweenBatches() {
    let set = SubscriptionSet()
    add(set, "a")
    add(set, "b")
    add(set, "c", "SUB c", "UNSUB c")
    add(set, "d")
    #expect(drain(set) == ["+a,b", "+c:SUB c", "+d"])
    remove(set, "c")
    remove(set, "a")
    remove(set, "d")
    #expect(drain(set) == ["-c:UNSUB c", "-a,d"])
    #expect(set.keys() == [utf8("b")])
  }

  @Test func aSubscriptionThatIsThereChangesNothing() {
    let set = SubscriptionSet()
    add(set, "a", "x", "y")
    #expect(add(set, "a", "x", "y") == .unchanged)
    #expect(drain(set) == ["+a:x"])
    #expect(add(set, "a", "x", "y") == .unchanged)
    #expect(set.pending == 0)
  }

  @Test func anotherTextIsSentAgainInThePlaceOfTheFirst() {
    let set = SubscriptionSet()
    add(set, "a", "1")
    add(set, "b")
    _ = drain(set)
    #expect(add(set, "a", "2") == .changed)
    #expect(drain(set) == ["+a:2"])
    // To unsubscribe in another way is nothing that the peer must hear of now.
    #expect(add(set, "a", "2", "gone") == .changed)
    #expect(drain(set) == [])
    set.beginConnection()
    #expect(drain(set) == ["+a:2", "+b"])
    remove(set, "a")
    #expect(drain(set) == ["-a:gone"])
  }

  @Test func whatWasNotSentVanishes() {
    let set = SubscriptionSet()
    add(set, "a")
    #expect(remove(set, "a"))
    #expect(!remove(set, "a"))
    #expect(set.count == 0 && set.pending == 0 && drain(set) == [])
  }

  @Test func addingCancelsARemovalThatThePeerHasNotHeardOf() {
    let set = SubscriptionSet()
    add(set, "a", "1")
    _ = drain(set)
    #expect(remove(set, "a"))
    #expect(!remove(set, "a") && !set.contains(utf8("a")))
    #expect(set.count == 0 && set.pending == 1)
    #expect(add(set, "a", "1") == .changed)
    #expect(set.count == 1 && set.pending == 0 && set.contains(utf8("a")))
    // The peer has the first text still.
    add(set, "a", "2")
    remove(set, "a")
    add(set, "a", "2")
    #expect(drain(set) == ["+a:2"])
  }

  @Test func aNewConnectionHasNothingToUnsubscribe() {
    let set = SubscriptionSet()
    add(set, "a")
    add(set, "b")
    _ = drain(set)
    remove(set, "a")
    set.beginConnection()
    #expect(drain(set) == ["+b"])
    add(set, "a")
    #expect(drain(set) == ["+a"])
    #expect(set.keys() == [utf8("b"), utf8("a")])
  }

  @Test func unsubscribesGoFirst() {
    let set = SubscriptionSet()
    add(set, "a")
    _ = drain(set)
    add(set, "b")
    remove(set, "a")
    #expect(drain(set) == ["-a", "+b"])
  }

  @Test func boundsAreKept() {
    let set = SubscriptionSet()
    let long = [UInt8](repeating: 65, count: SubscriptionSet.longestKey)
    #expect(set.add(key: [], subscribe: nil, unsubscribe: nil) == .keyNotAllowed)
    #expect(set.add(key: long + [65], subscribe: nil, unsubscribe: nil) == .keyNotAllowed)
    #expect(set.add(key: long, subscribe: nil, unsubscribe: nil) == .changed)
    let text = [UInt8](repeating: 65, count: SubscriptionSet.longestText)
    #expect(set.add(key: [1], subscribe: text + [65], unsubscribe: nil) == .textTooLong)
    #expect(set.add(key: [1], subscribe: nil, unsubscribe: text + [65]) == .textTooLong)
    #expect(set.add(key: [1], subscribe: text, unsubscribe: text) == .changed)
    #expect(!set.remove(key: []) && !set.contains(long + [65]))
    for number in 2..<SubscriptionSet.mostKeys { add(set, "\(number)") }
    #expect(set.count == SubscriptionSet.mostKeys)
    #expect(add(set, "one more") == .full)
    #expect(add(set, "77") == .unchanged)
    remove(set, "77")
    #expect(add(set, "one more") == .changed)
  }

  @Test(arguments: 1...12)
  func thePeerEndsWithWhatIsWanted(seed: Int) throws {
    var dice = Dice(state: UInt64(seed))
    let set = SubscriptionSet()
    let many = [3, 30, 400][seed % 3]
    // What is wanted, in order; texts are "" for the template.
    var wanted: [(key: String, text: String)] = []
    var peer: [String: String] = [:]
    // Keys whose text was another one for a while.
    var changed: Set<String> = []
    var isConnected = false
    func send(_ work: SubscriptionWork) -> Bool {
      let description = describe(work)
      let isUnsubscribe = description.first == "-"
      for item in description.dropFirst().split(separator: ",") {
        let parts = item.split(separator: ":")
        let key = String(parts[0])
        let text = parts.count > 1 ? String(parts[1]) : ""
        if isUnsubscribe {
          // Never for what the peer does not have.
          if peer.removeValue(forKey: key) == nil { return false }
          if text != (Int(key.dropFirst())! % 2 == 0 ? "u" : "") { return false }
        } else {
          // Never again without a reason.
          if peer[key] == text && !changed.contains(key) { return false }
          changed.remove(key)
          peer[key] = text
        }
      }
      return true
    }
    for step in 0..<2000 {
      let number = dice.roll(many)
      let key = "k\(number)"
      switch dice.roll(20) {
      case 0..<8:
        let text = ["", "", "x", "y"][dice.roll(4)]
        let unsubscribe: String? = number % 2 == 0 ? "u" : nil
        let change = add(set, key, text.isEmpty ? nil : text, unsubscribe)
        if let place = wanted.firstIndex(where: { $0.key == key }) {
          try #require(change == (wanted[place].text == text ? .unchanged : .changed), "seed \(seed), step \(step)")
          if wanted[place].text != text { changed.insert(key) }
          wanted[place].text = text
        } else {
          try #require(change == .changed, "seed \(seed), step \(step)")
          wanted.append((key, text))
          changed.insert(key)
        }
      case 8..<13:
        let place = wanted.firstIndex { $0.key == key }
        try #require(remove(set, key) == (place != nil), "seed \(seed), step \(step)")
        if let place { wanted.remove(at: place) }
      case 13..<18:
        guard isConnected else { break }
        for _ in 0...dice.roll(5) {
          guard let work = set.next(batch: 1 + dice.roll(5)) else { break }
          try #require(send(work), "seed \(seed), step \(step): \(describe(work))")
        }
      case 18:
        guard isConnected else { break }
        while let work = set.next(batch: 7) {
          try #require(send(work), "seed \(seed), step \(step): \(describe(work))")
        }
        try #require(peer.count == wanted.count, "seed \(seed), step \(step)")
        for entry in wanted { #expect(peer[entry.key] == entry.text, "seed \(seed), step \(step)") }
        #expect(set.pending == 0)
      default:
        if dice.roll(4) == 0 {
          isConnected = !isConnected
          if isConnected { set.beginConnection() }
          peer = [:]
        }
      }
      try #require(set.count == wanted.count, "seed \(seed), step \(step)")
      #expect(set.contains(utf8(key)) == wanted.contains { $0.key == key })
      #expect(set.pending <= many)
    }
    // A replay has the order in which they were added, but for those whose removal was cancelled.
    #expect(Set(set.keys()) == Set(wanted.map { utf8($0.key) }))
    set.beginConnection()
    #expect(set.pending == wanted.count)
    var replayed: [[UInt8]] = []
    while let work = set.next(batch: 3) {
      switch work {
      case .subscribe(let keys): replayed += keys
      case .text(_, let key, false): replayed.append(key)
      default: Issue.record("nothing to unsubscribe, seed \(seed)")
      }
    }
    #expect(replayed == set.keys(), "seed \(seed)")
  }

  @Test func manyKeysAreFoundWithoutASearch() {
    let set = SubscriptionSet()
    for round in 0..<2 {
      for number in 0..<20_000 { add(set, "stream-\(number)@depth") }
      #expect(set.count == 20_000)
      _ = drain(set, batch: 200)
      for number in 0..<20_000 where number % 7 != round { remove(set, "stream-\(number)@depth") }
      #expect(drain(set, batch: 200).count < 120)
    }
    #expect(set.keys().count == set.count)
  }
}

/// Answers to messages that subscribe.
@Suite struct SubscriptionAnswerTests {
  /// Sends all that is to be sent, each message with the next number as its id.
  private func send(_ set: SubscriptionSet, batch: Int = 100, id: inout Int, hasID: Bool = true) -> [String] {
    var sent: [String] = []
    while let work = set.next(batch: batch) {
      sent.append(describe(work))
      var keys: [[UInt8]] = []
      switch work {
      case .subscribe(let several): keys = several
      case .text(_, let key, false): keys = [key]
      default: continue
      }
      id += 1
      set.awaitAnswer(keys, id: hasID ? utf8("\(id)") : [], now: Int64(id))
    }
    return sent
  }

  private func answer(
    _ set: SubscriptionSet, id: String? = nil, key: String? = nil, rejects: Bool = false, blamed: inout [String]
  ) -> Bool {
    func raw<R>(_ text: String?, _ body: (UnsafeRawBufferPointer?) -> R) -> R {
      guard let text else { return body(nil) }
      return withExact(utf8(text)) { body($0) }
    }
    return raw(id) { id in
      raw(key) { key in
        var capture = PatternCapture()
        capture.id = id
        capture.key = key
        guard let request = set.find(capture) else { return false }
        if rejects {
          if let bad = set.reject(request, key: key) { blamed.append(String(decoding: bad, as: UTF8.self)) }
        } else {
          set.confirm(request, key: key)
        }
        return true
      }
    }
  }

  @Test func anAnswerIsForTheIDThatItNames() {
    let set = SubscriptionSet()
    var id = 0
    var blamed: [String] = []
    for key in ["a", "b", "c"] { add(set, key, "SUB " + key) }
    #expect(send(set, id: &id).count == 3 && set.waiting == 3)
    #expect(!answer(set, id: "900001", rejects: true, blamed: &blamed) && !answer(set, id: "", blamed: &blamed))
    #expect(answer(set, id: "2", blamed: &blamed) && set.waiting == 2)
    #expect(!answer(set, id: "2", rejects: true, blamed: &blamed))
    #expect(answer(set, id: "3", rejects: true, blamed: &blamed) && blamed == ["c"] && set.count == 2)
    #expect(answer(set, blamed: &blamed) && set.waiting == 0)
    #expect(!answer(set, blamed: &blamed) && set.pending == 0)
    // It is asked for again when the application does.
    set.beginConnection()
    #expect(send(set, id: &id) == ["+a:SUB a", "+b:SUB b"])
    #expect(add(set, "c", "SUB c") == .changed)
    #expect(send(set, id: &id) == ["+c:SUB c"])
  }

  @Test func withoutIDsTheOldestIsAnswered() {
    let set = SubscriptionSet()
    var id = 0
    var blamed: [String] = []
    for key in ["a", "b", "c"] { add(set, key, "SUB " + key) }
    _ = send(set, id: &id, hasID: false)
    #expect(answer(set, blamed: &blamed))
    // An id that it may have, for all that is known.
    #expect(answer(set, id: "17", rejects: true, blamed: &blamed) && blamed == ["b"])
    #expect(answer(set, rejects: true, blamed: &blamed) && blamed == ["b", "c"] && set.keys() == [utf8("a")])
  }

  @Test func anAnswerNamesAKeyOfSeveral() {
    let set = SubscriptionSet()
    var id = 0
    var blamed: [String] = []
    for key in ["BTC/USD", "DEAD/USD", "ETH/USD"] { add(set, key) }
    #expect(send(set, id: &id) == ["+BTC/USD,DEAD/USD,ETH/USD"])
    #expect(!answer(set, id: "1", key: "XRP/USD", rejects: true, blamed: &blamed))
    #expect(answer(set, id: "1", key: "BTC/USD", blamed: &blamed))
    #expect(!answer(set, id: "1", key: "BTC/USD", rejects: true, blamed: &blamed))
    #expect(answer(set, id: "1", key: #"DEAD\/USD"#, rejects: true, blamed: &blamed) && blamed == ["DEAD/USD"])
    #expect(set.waiting == 1)
    #expect(answer(set, id: "1", key: "ETH/USD", blamed: &blamed) && set.waiting == 0)
    #expect(set.keys() == [utf8("BTC/USD"), utf8("ETH/USD")] && set.pending == 0)
  }

  /// The peer refuses a message with a bad key as a whole.
  @Test(arguments: [1, 2, 3, 5, 100, 1000], [[], [0], [1], [0, 1], [2, 3, 4], [77, 500, 998, 999]])
  func theBadKeysAreFoundInHalves(count: Int, bad: [Int]) {
    let set = SubscriptionSet()
    let bad = Set(bad.filter { $0 < count }.map { "k\($0)" })
    for number in 0..<count { add(set, "k\(number)") }
    var id = 0
    var blamed: [String] = []
    var there: Set<String> = []
    var messages = 0
    var first = 1
    while set.pending > 0 {
      let sent = send(set, batch: 100, id: &id)
      messages += sent.count
      for (place, text) in sent.enumerated() {
        let keys = Set(text.dropFirst().split(separator: ",").map(String.init))
        let isBad = !keys.isDisjoint(with: bad)
        if !isBad { there.formUnion(keys) }
        #expect(answer(set, id: "\(first + place)", rejects: isBad, blamed: &blamed))
      }
      first = id + 1
    }
    #expect(Set(blamed) == bad && blamed.count == bad.count && set.waiting == 0)
    #expect(there.count == count - bad.count && set.count == there.count)
    #expect(messages <= (count + 99) / 100 + bad.count * 14)
  }

  @Test func whatHasChangedSinceIsNotBlamed() {
    let set = SubscriptionSet()
    var id = 0
    var blamed: [String] = []
    add(set, "a", "1")
    add(set, "b", "1")
    add(set, "c")
    add(set, "d")
    #expect(send(set, id: &id).count == 3)
    // Another text, no longer wanted, and one of two no longer wanted.
    add(set, "a", "2")
    remove(set, "b")
    remove(set, "c")
    for number in 1...3 { #expect(answer(set, id: "\(number)", rejects: true, blamed: &blamed)) }
    #expect(blamed == [] && set.waiting == 0 && set.keys() == [utf8("a"), utf8("d")])
    #expect(send(set, id: &id) == ["-b,c", "+a:2", "+d"])
    #expect(answer(set, id: "4", rejects: true, blamed: &blamed) && blamed == ["a"])
    #expect(answer(set, id: "5", blamed: &blamed) && set.keys() == [utf8("d")])
  }

  @Test func aNewConnectionKnowsNoAnswers() {
    let set = SubscriptionSet()
    var id = 0
    var blamed: [String] = []
    for key in ["a", "b", "c"] { add(set, key) }
    _ = send(set, id: &id)
    #expect(answer(set, id: "1", rejects: true, blamed: &blamed))
    #expect(send(set, id: &id) == ["+a", "+b,c"] && set.waiting == 2)
    set.beginConnection()
    #expect(set.waiting == 0 && !answer(set, rejects: true, blamed: &blamed))
    #expect(send(set, id: &id) == ["+a,b,c"])
  }

  /// One that is never answered must not keep all those behind it.
  @Test func whatIsAnsweredIsForgottenBehindOneThatWaits() {
    let set = SubscriptionSet()
    var id = 0
    var blamed: [String] = []
    add(set, "first", "s")
    _ = send(set, id: &id)
    for number in 0..<10_000 {
      add(set, "k\(number)", "s")
      _ = send(set, id: &id)
      #expect(answer(set, id: "\(id)", blamed: &blamed))
    }
    #expect(set.waiting == 1 && set.requests.count < 2000 && set.waitingSince == 1)
    #expect(answer(set, id: "1", rejects: true, blamed: &blamed) && blamed == ["first"])
    #expect(set.waiting == 0 && set.waitingSince == nil)
  }

  @Test func whoOnlyRefusesHasATime() {
    let set = SubscriptionSet()
    var id = 0
    var blamed: [String] = []
    for number in 0..<5000 {
      add(set, "k\(number)", "s")
      _ = send(set, id: &id)
      set.endWaiting(before: Int64(id) - 10)
      #expect(set.waiting == min(number + 1, 10))
    }
    #expect(!answer(set, id: "4990", rejects: true, blamed: &blamed))
    #expect(answer(set, id: "4991", rejects: true, blamed: &blamed) && blamed == ["k4990"])
  }
}
