// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseText

@testable import PulseEngine

/// A journal's file in memory.
final class JournalMemory {
  let start: UnsafeMutableRawPointer
  let capacity: Int

  init(capacity: Int) {
    self.capacity = capacity
    start = .allocate(byteCount: JournalFormat.pageSize + capacity, alignment: 4096)
    start.initializeMemory(as: UInt8.self, repeating: 0xA5, count: JournalFormat.pageSize + capacity)
    start.copyMemory(from: JournalFormat.firstPage(capacity: capacity, salt: 77), byteCount: JournalFormat.pageSize)
  }

  /// What a process leaves that ends now.
  init(copyOf other: JournalMemory) {
    capacity = other.capacity
    start = .allocate(byteCount: JournalFormat.pageSize + capacity, alignment: 4096)
    start.copyMemory(from: other.start, byteCount: JournalFormat.pageSize + capacity)
  }

  deinit { start.deallocate() }

  /// Turns the bits of a byte of the ring over.
  func damage(_ offset: Int) {
    let place = start + JournalFormat.pageSize + offset
    place.storeBytes(of: ~place.load(as: UInt8.self), as: UInt8.self)
  }
}

/// What a sender is answered.
enum Answer: Equatable {
  case framed(UInt64)
  case queued(UInt64)
  case wait(until: Int64)
  case full
  case tooBig
}

/// A client around an `Outbound`: it has the clock, a connection that takes as many bytes as a test says, a peer that keeps
/// what it gets, and an application that takes events.
final class FakeSender {
  /// What a frame has beside its payload.
  static let header = 6

  struct Frame {
    var id: UInt64
    var payload: [UInt8]
    /// In the bytes of its connection.
    var end: Int
  }

  let outbound: Outbound
  let memory: JournalMemory?
  private let actions = Actions()
  var now: Int64
  /// How far the clock on the wall has been set.
  var wallShift: Int64 = 0
  var moment: Moment { Moment(now: now, realtime: FakeClient.epoch + now + wallShift) }

  // The connection.
  private(set) var isOpen = false
  private(set) var ledger = FrameLedger()
  /// Those that the peer does not wholly have.
  private(set) var frames: [Frame] = []
  private var framedBytes = 0
  private var writtenBytes = 0
  var unwritten: Int { framedBytes - writtenBytes }
  /// It has room for a frame while fewer bytes than this wait in it.
  var outputLimit = Int.max
  var hasRoom: Bool { unwritten < outputLimit }
  /// What the peer got.
  private(set) var received: [UInt64] = []
  private(set) var receivedTexts: [String] = []

  // The application.
  private(set) var events: [String] = []
  private(set) var lastSequence: UInt64 = 0
  var hasRoomForEvents = true
  /// The events stand behind a front.
  var hasFront = false
  /// All that was done, in order, but for events.
  private(set) var done: [String] = []

  convenience init(_ change: (Outbound.Rules) -> Void = { _ in }) { self.init(nil, change) }

  /// With a journal, which it takes over first of all.
  init(_ memory: JournalMemory?, at now: Int64 = 0, wallShift: Int64 = 0, _ change: (Outbound.Rules) -> Void = { _ in }) {
    let rules = Outbound.Rules()
    rules.backlogInterval = 0
    rules.emitsEvents = true
    change(rules)
    outbound = Outbound(rules, actions)
    self.memory = memory
    self.now = now
    self.wallShift = wallShift
    guard let memory else { return }
    outbound.take(Journal(memory.start, capacity: memory.capacity, owner: memory), moment)
    carryOut()
  }

  // MARK: Sending

  @discardableResult
  func send(_ text: String, _ flags: OutboxFlags = [], ttl: Int64? = nil, inLimit: Bool = false) -> Answer {
    let expiresAt = ttl.map { now + $0 } ?? .max
    return Array(text.utf8).withUnsafeBytes { payload in
      if outbound.isDirect, flags.isEmpty, hasRoom,
        outbound.acceptsDirect(MessageCode.text, payload, expiresAt: expiresAt, moment)
      {
        return frame(payload, outbound.journalMark, expiresAt)
      }
      guard let kept = outbound.flags(of: flags, payload.count) else { return .tooBig }
      if isOpen && outbound.isLimited(kept, inLimit: inLimit) {
        return answer(
          outbound.acceptInLimit(MessageCode.text, payload, flags: kept, expiresAt: expiresAt, takesNow: hasRoom, moment),
          payload, kept, expiresAt)
      }
      return answer(
        outbound.accept(
          MessageCode.text, payload, flags: kept, expiresAt: expiresAt, takesNow: outbound.isDirect && hasRoom, moment),
        payload, kept, expiresAt)
    }
  }

  /// A login of the application's.
  func sendFirst(_ text: String) -> Answer {
    outbound.acceptFirst(now)
    return Array(text.utf8).withUnsafeBytes { frame($0, [.liveOnly, .first], .max) }
  }

  private func answer(
    _ verdict: Outbound.Verdict, _ payload: UnsafeRawBufferPointer, _ flags: OutboxFlags, _ expiresAt: Int64
  ) -> Answer {
    tell("")
    switch verdict {
    case .frame: return frame(payload, flags, expiresAt)
    case .queued: return .queued(outbound.lastID)
    case .wait(let time): return .wait(until: time)
    case .full: return .full
    }
  }

  private func frame(_ payload: UnsafeRawBufferPointer, _ flags: OutboxFlags, _ expiresAt: Int64) -> Answer {
    add(
      FrameEntry(id: outbound.lastID, kind: MessageCode.text, flags: flags, expiresAt: expiresAt, acceptedAt: now),
      Array(payload))
    return .framed(outbound.lastID)
  }

  private func add(_ entry: FrameEntry, _ payload: [UInt8]) {
    framedBytes += payload.count + FakeSender.header
    ledger.append(bytes: payload.count + FakeSender.header, entry)
    frames.append(Frame(id: entry.id, payload: payload, end: framedBytes))
  }

  // MARK: The connection

  func open() {
    isOpen = true
    outbound.open(now)
  }

  /// Frames what may go now.
  func refill(isClosing: Bool = false) {
    guard isOpen, outbound.hasQueued else { return }
    while hasRoom, let message = outbound.nextFrame(now, isClosing: isClosing) {
      add(
        FrameEntry(
          id: message.id, kind: message.kind, flags: message.flags, expiresAt: message.expiresAt, acceptedAt: message.acceptedAt),
        Array(message.payload))
      outbound.framed()
    }
    if outbound.isWatched {
      tell("")
      doing { $0.giveRoom() }
    }
  }

  /// The network takes so many bytes; with the next write so many go that the connection can't take back.
  func write(_ count: Int = .max, committed: Int = 0) {
    outbound.begin(&ledger)
    let count = min(count, unwritten)
    deliver(count)
    ledger.written(bytes: count)
    if outbound.settle(&ledger) { doing { $0.settled(&ledger) } }
    if unwritten > 0 { outbound.begun(&ledger, upTo: committed) }
  }

  /// The process ends while the network takes so many of the bytes that it was given.
  func die(_ count: Int) {
    outbound.begin(&ledger)
    deliver(min(count, unwritten))
  }

  private func deliver(_ count: Int) {
    writtenBytes += count
    while let first = frames.first, first.end <= writtenBytes {
      received.append(first.id)
      receivedTexts.append(String(decoding: first.payload, as: UTF8.self))
      frames.removeFirst()
    }
  }

  /// Frames from this one on, of which no byte is written, go back; their connection goes on.
  func takeBack(from index: Int) {
    outbound.beginReturn()
    giveBack(from: index, isEnding: false)
    outbound.endReturn()
    guard let first = ledger.entry(index) else { return }
    let removed = ledger.count - index
    framedBytes = writtenBytes + ledger.bytesBefore(first)
    ledger.removeAll(from: index)
    frames.removeLast(removed)
  }

  private func giveBack(from index: Int, isEnding: Bool) {
    for place in index..<max(index, ledger.count) {
      guard let entry = ledger.entry(place) else { return }
      frames[place].payload.withUnsafeBytes { outbound.returned(entry, $0, isEnding: isEnding) }
    }
  }

  func end(_ cause: String = "the peer went away") {
    let unstarted = ledger.firstUnstarted
    for index in 0..<unstarted { if let entry = ledger.entry(index) { outbound.cut(entry) } }
    outbound.beginReturn()
    giveBack(from: unstarted, isEnding: true)
    outbound.endReturn()
    ledger.reset()
    frames = []
    framedBytes = 0
    writtenBytes = 0
    isOpen = false
    outbound.close()
    outbound.dropLiveOnly()
    tell(cause)
  }

  // MARK: The client's part

  /// The time has come for what expires, is to be told or framed.
  func flow(at time: Int64) {
    now = time
    doing { $0.expire(now) }
    tell("")
    refill()
  }

  func tell(_ cause: String) { doing { if $0.hasNews { $0.tellLosses(cause, now, hasRoom: hasRoomForEvents) } } }

  /// Does what the body's calls have led to.
  func doing(_ body: (Outbound) -> Void) {
    body(outbound)
    carryOut()
  }

  private func carryOut() {
    for action in actions.take() {
      switch action {
      case .log(let level, let text): done.append("\(level.name) \(String(decoding: text.bytes, as: UTF8.self))")
      case .event(let event, let isKept):
        let text = String(decoding: event.bytes, as: UTF8.self)
        // Only of the fate of each message there may be too many.
        if isKept == text.hasPrefix(#"{"event":"fate""#) { done.append("\(text) is \(isKept ? "" : "not ")kept") }
        put(text)
      case .told(let ofDoubts):
        done.append("told of \(ofDoubts ? "doubts" : "losses")")
        outbound.noteAnnounced(ofDoubts: ofDoubts, ahead: events.count, sequence: lastSequence, isBehindFront: hasFront)
      case .notify: done.append("notify")
      case .signal: done.append("signal")
      case .wake: done.append("wake")
      case .silenced(let why): done.append("silenced: \(why)")
      case .lookAgain(let deadline, let time): done.append("\(deadline) at \(time)")
      }
    }
  }

  /// What was done since the last look.
  func takeDone() -> [String] {
    defer { done = [] }
    return done
  }

  /// The application's call: it has what it took with the one before.
  @discardableResult
  func take(_ most: Int = .max) -> [String] {
    if outbound.hasAnnounced { outbound.noteTaken(hasAll: events.isEmpty) }
    let taken = Array(events.prefix(most))
    events.removeFirst(taken.count)
    outbound.taken(taken.count)
    tell("")
    return taken
  }

  /// An event of another part of the client.
  func put(_ event: String) {
    lastSequence += 1
    events.append(event)
  }

  // MARK: The books

  var queued: Int { outbound.outbox.count + ledger.pending }

  /// accepted = sent + dropped + expired + failed + queued
  var isBalanced: Bool {
    let (counts, book) = (outbound.counts, outbound.outbox.book)
    return counts.accepted == counts.sent + book.dropped + book.expired + book.failed + UInt64(queued)
  }

  /// The texts of what waits in the outbox, in order; it is empty after that.
  func drain() -> [String] {
    var texts: [String] = []
    while let message = outbound.outbox.front(now: now) {
      texts.append(String(decoding: message.payload, as: UTF8.self))
      outbound.framed()
    }
    return texts
  }
}

/// The event of so many messages with ids that follow each other.
func loss(_ name: String, _ first: Int, _ last: Int, _ cause: String, count: Int? = nil, ids: String? = nil) -> String {
  #"{"event":"\#(name)","messages":\#(count ?? last - first + 1),"first_id":\#(first),"last_id":\#(last),"cause":"\#(cause)""#
    + (ids.map { #","ids":\#($0)"# } ?? "") + "}"
}

func fate(_ id: Int, _ fate: String) -> String { #"{"event":"fate","id":\#(id),"fate":"\#(fate)"}"# }

/// 60 bytes, of which 100 are in the limits.
func order(_ number: Int) -> String {
  let text = "order \(number)"
  return text + String(repeating: " ", count: 60 - text.utf8.count)
}
