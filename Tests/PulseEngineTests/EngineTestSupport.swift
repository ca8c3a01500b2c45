// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText
import Testing

@testable import PulseEngine

/// The path of a test, which is right.
func jsonPath(_ text: String) throws -> JSONPath {
  guard case .success(let path) = JSONPath.parse(Array(text.utf8)) else { throw NoPath(text: text) }
  return path
}

struct NoPath: Error {
  let text: String
}

let second: Int64 = 1_000_000_000
let millisecond: Int64 = 1_000_000

/// A reproducible source of randomness (SplitMix64); failures print the seed.
struct SeededRandom: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// 0 ..< limit
  mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }

  /// One time in so many.
  mutating func isOne(in times: Int) -> Bool { below(times) == 0 }
}

/// A message or an event, as the application gets it.
struct Seen: Equatable {
  var kind = MessageCode.text
  var flags: UInt32 = 0
  var receivedAt: Int64 = 0
  var sequence: UInt64 = 0
  var text: String

  var isEvent: Bool { kind == MessageCode.event }
}

/// A client without a connection around an `Inbound`: it has the clock, which stands until a test moves it, and does what
/// the actions say.
final class FakeClient {
  /// Realtime at 0 of the clock.
  static let epoch: Int64 = 1_700_000_000_000_000_000

  let inbound: Inbound
  let actions = Actions()
  /// The numbers of the connection.
  var line: SequenceCheck?
  /// What was read; nil for all that is there.
  var readUpTo: Int64?
  var isPaused = false
  var isConnected = true

  private(set) var wakes = 0
  /// Level and text of each line.
  private(set) var log: [String] = []
  /// All that was done, in order.
  private(set) var done: [String] = []
  private(set) var deadlines: [Deadline: Int64] = [:]
  /// Why no data comes, as told in the queue's place.
  private(set) var silences: [String] = []

  convenience init() { self.init { _ in } }

  init(_ change: (Inbound.Rules) throws -> Void) rethrows {
    let rules = Inbound.Rules()
    try change(rules)
    var seed: UInt64 = 0
    inbound = Inbound(rules, actions) {
      seed += 1
      return seed
    }
    now = 0
    setMoment()
  }

  // MARK: The clock

  var now: Int64 { didSet { setMoment() } }

  private func setMoment() { inbound.moment = Moment(now: now, realtime: FakeClient.epoch + now) }

  /// Moves the clock on, and does at its time what was asked for.
  func advance(to time: Int64) {
    var rounds = 0
    while let (deadline, due) = next(), due <= time {
      rounds += 1
      if rounds > 1000 {
        Issue.record("\(deadline) is asked for again and again")
        return
      }
      deadlines[deadline] = nil
      now = max(now, due)
      meet(deadline)
    }
    now = time
  }

  private func next() -> (Deadline, Int64)? {
    [Deadline.losses, .keys, .merge].compactMap { deadline in deadlines[deadline].map { (deadline, $0) } }
      .min { $0.1 < $1.1 }
  }

  private func meet(_ deadline: Deadline) {
    switch deadline {
    case .losses: inbound.announceDrops()
    case .keys: inbound.keysAreDue(readUpTo: readUpTo ?? now, isConnected: isConnected, isPaused: isPaused)
    case .merge: inbound.mergeIsDue()
    }
    carryOut()
  }

  func carryOut() {
    if actions.isEmpty { return }
    for action in actions.take() {
      switch action {
      case .log(let level, let text):
        let line = "\(level.name) \(String(decoding: text.bytes, as: UTF8.self))"
        log.append(line)
        done.append(line)
      case .wake:
        wakes += 1
        done.append("wake")
      case .event(let event, let isKept): inbound.emit(event, isKept: isKept)
      case .told(let ofDoubts): done.append("told of \(ofDoubts ? "doubts" : "losses")")
      case .notify: done.append("notify")
      case .signal: done.append("signal")
      case .silenced(let why): silences.append(why)
      case .lookAgain(let deadline, let time):
        deadlines[deadline] = time
        done.append("\(deadline) at \(time)")
      }
    }
  }

  /// Does what the body's calls have led to.
  @discardableResult
  func doing<Result>(_ body: (Inbound) throws -> Result) rethrows -> Result {
    let result = try body(inbound)
    carryOut()
    return result
  }

  // MARK: Messages

  /// A message of data that has come.
  func offer(_ text: String, kind: UInt32 = MessageCode.text, flags: UInt32 = 0, side: Int = 0) {
    with(text, kind, flags) { arrival in
      inbound.read(arrival.payload, line: &line)
      inbound.offer(arrival, side: side)
    }
  }

  /// A message that the library has used up.
  func passOver(_ text: String) {
    with(text, MessageCode.text, 0) { arrival in
      inbound.read(arrival.payload, line: &line)
      inbound.passOver()
    }
  }

  func takeAside(_ text: String, kind: UInt32, side: Int = 0) {
    with(text, kind, 0) { inbound.takeAside($0, side: side) }
  }

  private func with(_ text: String, _ kind: UInt32, _ flags: UInt32, _ body: (Inbound.Arrival) -> Void) {
    Array(text.utf8).withUnsafeBytes {
      body(Inbound.Arrival(kind: kind, flags: flags, payload: $0, receivedAt: FakeClient.epoch + now))
    }
    carryOut()
  }

  func emit(_ event: Sentence, isKept: Bool = true) { doing { $0.emit(event, isKept: isKept) } }

  /// What the application gets with one call.
  func take(_ most: Int) -> [Seen]? {
    guard let slice = inbound.take(most) else { return nil }
    let seen = (0..<slice.count).map { index in
      let record = slice.records[index]
      return Seen(
        kind: record.kind, flags: record.flags, receivedAt: record.receivedAt, sequence: record.sequence,
        text: String(decoding: record.payload, as: UTF8.self))
    }
    inbound.giveBack(slice.segment)
    return seen
  }

  /// All that there is.
  func takeAll() -> [Seen] {
    var all: [Seen] = []
    while let seen = take(.max) { all += seen }
    return all
  }

  /// The texts of all that there is.
  func takeTexts() -> [String] { takeAll().map(\.text) }
}

/// 60 bytes, 100 with the overhead, with a key `k` and a number `n`.
func message(_ number: Int, key: String = "a") -> String {
  let text = #"{"k":"\#(key)","n":\#(number)}"#
  return text + String(repeating: " ", count: 60 - text.utf8.count)
}

/// An event's text, as JSON of so many bytes.
func event(_ name: String, size: Int = 0) -> Sentence {
  let text = #"{"event":"\#(name)"}"#
  return Sentence(Array((text + String(repeating: " ", count: max(0, size - text.utf8.count))).utf8)[...])
}
