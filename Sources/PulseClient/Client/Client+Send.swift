// SPDX-License-Identifier: Apache-2.0
import CPulseKernels
import CPulseSys
import PulseEngine
import PulseFlow
import PulseProcess
import PulseTransport
import PulseWire

/// From the caller to the outbox, or straight to the connection.
extension Client {
  private static let largestMessage = 1 << 30
  static let largeMessage = 1 << 20

  /// A message, or a control frame; the common case of `send(kind:payload:flags:...)`.
  package func send(kind: UInt32, payload: UnsafeRawBufferPointer, timeout: Int64) -> StatusCode {
    let isControl = kind == MessageCode.ping || kind == MessageCode.pong
    guard isControl || kind == MessageCode.text || kind == MessageCode.binary else { return .invalidArgument }
    if isControl && payload.count > 125 { return .invalidArgument }
    let problem = check(kind, payload)
    if problem != .ok { return problem }
    mutex.lock()
    defer { mutex.unlock() }
    if isControl {
      guard let connection = first.connection, connection.takesMessages, !closing.hasBegun else { return sendProblem() }
      return connection.sendControl(kind, payload)
    }
    return accept(kind, payload, flags: [], expiresAt: defaultExpiry(), timeout: timeout)
  }

  /// A message with flags and a time to live (0: option message_ttl; negative: for ever). `id` is its number.
  package func send(
    kind: UInt32, payload: UnsafeRawBufferPointer, flags: SendFlags, ttl: Int64, timeout: Int64, id: inout UInt64
  ) -> StatusCode {
    guard kind == MessageCode.text || kind == MessageCode.binary, flags.areKnown else {
      return .invalidArgument
    }
    let problem = check(kind, payload)
    if problem != .ok { return problem }
    mutex.lock()
    defer { mutex.unlock() }
    let status = accept(kind, payload, flags: flags, expiresAt: expiry(ttl), timeout: timeout)
    if status == .ok { id = outbound.lastID }
    return status
  }

  /// Many messages, structs of the ABI (pointer, length, kind ...), in order. How many were accepted, or why the first was not.
  package func send(
    _ messages: UnsafeRawPointer, count: Int, flags: SendFlags, ttl: Int64, timeout: Int64,
    firstID: inout UInt64
  ) -> Int32 {
    guard flags.areKnown else { return StatusCode.invalidArgument.rawValue }
    let deadline = timeout > 0 ? Client.deadline(after: timeout) : 0
    var size = 0
    for index in 0..<count {
      let length = messages.load(fromByteOffset: index &* MemoryLayout<MessageRecord>.size &+ 8, as: Int.self)
      if length > 0 && length <= Client.largestMessage && size < Int.max / 8 { size &+= length }
    }
    if !Client.hasMemory(for: size) { return StatusCode.noMemory.rawValue }
    mutex.lock()
    defer { mutex.unlock() }
    let expiresAt = expiry(ttl)
    var accepted: Int32 = 0
    for index in 0..<count {
      // A caller's struct: the pointer may be NULL.
      let record = messages + index &* MemoryLayout<MessageRecord>.size
      let data = record.load(as: UnsafeRawPointer?.self)
      let length = record.load(fromByteOffset: 8, as: Int.self)
      let kind = record.load(fromByteOffset: 16, as: UInt32.self)
      let payload = UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : max(0, length))
      var status = StatusCode.invalidArgument
      if kind == MessageCode.text || kind == MessageCode.binary {
        // A size_t above the largest Int is a negative number here.
        if length < 0 || length > Client.largestMessage {
          status = .tooBig
        } else if payload.count == length {
          status = check(kind, payload)
        }
      }
      if status == .ok {
        let left = timeout > 0 ? max(0, deadline &- Clock.monotonic()) : timeout
        status = accept(
          kind, payload, flags: flags, expiresAt: expiresAt, timeout: left, following: accepted > 0 ? outbound.lastID : nil)
      }
      if status != .ok { return accepted > 0 ? accepted : status.rawValue }
      if accepted == 0 { firstID = outbound.lastID }
      accepted &+= 1
    }
    return accepted
  }

  private func check(_ kind: UInt32, _ payload: UnsafeRawBufferPointer) -> StatusCode {
    if payload.count > Client.largestMessage { return .tooBig }
    if !Client.hasMemory(for: payload.count) { return .noMemory }
    if kind == MessageCode.text && !isValidUTF8(payload) { return .notUTF8 }
    return .ok
  }

  /// Swift ends the process when an allocation fails. What the caller or the peer can make fail is that of something
  /// large, so that it is tried first: the copy, or the frame, with the growth of the queue it goes into.
  @inline(__always)
  package static func hasMemory(for count: Int) -> Bool { count < largeMessage || pulse_memory_fits(count &* 3) }

  private func expiry(_ ttl: Int64) -> Int64 {
    if ttl < 0 { return .max }
    return ttl == 0 ? defaultExpiry() : Clock.deadline(Clock.monotonic(), after: ttl)
  }

  private func defaultExpiry() -> Int64 {
    options.messageTTL == 0 ? .max : Clock.deadline(Clock.monotonic(), after: options.messageTTL)
  }

  func sendProblem() -> StatusCode { closing.hasBegun ? .closed : .notConnected }

  /// Frames it, or puts it into the outbox. `mutex` is held.
  @inline(__always)
  private func accept(
    _ kind: UInt32, _ payload: UnsafeRawBufferPointer, flags: SendFlags, expiresAt: Int64, timeout: Int64,
    following: UInt64? = nil
  ) -> StatusCode {
    if outbound.isDirect, flags.isEmpty, let connection = first.connection, connection.takesNow(expiresAt: expiresAt), !closing.hasBegun,
      outbound.acceptsDirect(kind, payload, expiresAt: expiresAt, journalMoment(expiresAt))
    {
      connection.encode(
        kind == MessageCode.text ? .text : .binary, payload, id: outbound.lastID, flags: outbound.journalMark, expiresAt: expiresAt)
      connection.flushSoon()
      return .ok
    }
    return acceptSlowly(
      kind, payload, flags: flags, expiresAt: expiresAt, timeout: timeout, following: following)
  }

  /// Only the journal asks for the time of day, for which some milliseconds do not matter over the end of a process.
  @inline(__always)
  private func sendMoment() -> Moment {
    Moment(now: Clock.monotonic(), realtime: outbound.journalMark.isEmpty ? 0 : psys_realtime_coarse_ns())
  }

  /// A message without a time to live needs no clock but that one.
  private func journalMoment(_ expiresAt: Int64) -> Moment {
    Moment(now: expiresAt == .max ? 0 : Clock.monotonic(), realtime: psys_realtime_coarse_ns())
  }

  /// A message that was accepted for it.
  @inline(never)
  private func frame(
    _ kind: UInt32, _ payload: UnsafeRawBufferPointer, flags: OutboxFlags, expiresAt: Int64, on connection: Connection
  ) -> StatusCode {
    connection.encode(
      kind == MessageCode.text ? .text : .binary, payload, id: outbound.lastID, flags: flags, expiresAt: expiresAt)
    connection.flushSoon()
    return .ok
  }

  /// `following`: only if no other message was accepted since that one, which may happen while the call waits.
  @inline(never)
  private func acceptSlowly(
    _ kind: UInt32, _ payload: UnsafeRawBufferPointer, flags: SendFlags, expiresAt: Int64, timeout: Int64,
    following: UInt64?
  ) -> StatusCode {
    if closing.hasBegun { return .closed }
    if first.life == .ended { return .notConnected }
    if flags.contains(.first) { return acceptFirst(kind, payload, flags) }
    guard let kept = outbound.flags(of: flags.forOutbox, payload.count) else { return .tooBig }
    if flags.contains(.liveOnly) && (!first.isReady || first.connection?.takesMessages != true) { return .notConnected }
    if outbound.isLimited(kept, inLimit: flags.contains(.inLimit)), first.isReady {
      return sendInLimit(
        kind, payload, flags: kept, expiresAt: expiresAt, timeout: timeout, following: following)
    }
    if timeout != 0, outbound.waitsForRoom(kept, payload.count) {
      _ = block(until: Client.deadline(after: timeout)) {
        outbound.hasRoomNow(kept, payload.count) || closing.hasBegun || first.life == .ended
      }
      if closing.hasBegun { return .closed }
      if first.life == .ended { return .notConnected }
      if flags.contains(.liveOnly) && !first.isReady { return .notConnected }
      if let following, outbound.lastID != following { return .queueFull }
    }
    let takesNow = outbound.isDirect && first.connection?.takesNow(expiresAt: expiresAt) == true
    let verdict = outbound.accept(kind, payload, flags: kept, expiresAt: expiresAt, takesNow: takesNow, sendMoment())
    if outbound.hasNews { first.announceLosses("") }
    guard case .queued = verdict else {
      guard case .frame = verdict, let connection = first.connection else { return .queueFull }
      return frame(kind, payload, flags: kept, expiresAt: expiresAt, on: connection)
    }
    if first.isReady, let connection = first.connection, connection.takesMessages { connection.flushSoon() }
    first.rescheduleFlow()
    return .ok
  }

  /// A login of the application's: for a hold that is over the next one asks for its own.
  private func acceptFirst(_ kind: UInt32, _ payload: UnsafeRawBufferPointer, _ flags: SendFlags) -> StatusCode {
    let held = first.held
    guard let connection = held ?? first.connection, connection.takesMessages, held != nil || !options.holdLogin
    else { return .notConnected }
    _ = outbound.flags(of: flags.forOutbox.union(.liveOnly), payload.count)
    if connection.session.isLogin { connection.session.note(login: [UInt8](payload)) }
    outbound.acceptFirst(Clock.monotonic())
    return frame(kind, payload, flags: flags.forOutbox.union([.liveOnly, .first]), expiresAt: .max, on: connection)
  }

  /// Behind what the outbox holds, unless it is for the open connection only.
  private func sendInLimit(
    _ kind: UInt32, _ payload: UnsafeRawBufferPointer, flags: OutboxFlags, expiresAt: Int64, timeout: Int64,
    following: UInt64?
  ) -> StatusCode {
    let deadline = Client.deadline(after: timeout)
    while true {
      guard first.isReady, let connection = first.connection, connection.takesMessages, !closing.hasBegun else { return sendProblem() }
      if let following, outbound.lastID != following { return .rateLimited }
      let moment = sendMoment()
      let takesNow = connection.takesNow(expiresAt: expiresAt)
      switch outbound.acceptInLimit(kind, payload, flags: flags, expiresAt: expiresAt, takesNow: takesNow, moment) {
      case .frame: return frame(kind, payload, flags: flags, expiresAt: expiresAt, on: connection)
      case .queued, .full: return .queueFull
      case .wait(let next):
        if timeout == 0 || moment.now >= deadline { return .rateLimited }
        outbound.noteLimitWait()
        _ = block(until: next < deadline ? next : deadline) {
          closing.hasBegun || !first.isReady || first.connection?.takesMessages != true
        }
      }
    }
  }

  // MARK: All messages at once

  /// Waits until every message accepted so far has its fate.
  package func flush(timeout: Int64) -> StatusCode {
    let deadline = Client.deadline(after: timeout)
    mutex.lock()
    defer { mutex.unlock() }
    let target = outbound.lastID
    func isDone() -> Bool { oldestUnsettled > target || first.life == .ended }
    if first.connection?.writeIsBlocked == false { first.connection?.flush() }
    if timeout == 0 && !isDone() { driveBriefly() }
    let isOver = block(until: deadline) {
      if isDone() { return true }
      outbound.awaitFates()
      return false
    }
    if oldestUnsettled > target { return .ok }
    return isOver ? .notConnected : .timeout
  }

  /// The lowest id without a fate.
  private var oldestUnsettled: UInt64 {
    var oldest = outbound.outbox.lowestID(now: Clock.monotonic()) ?? .max
    if let connection = first.connection { oldest = min(oldest, lowestID(in: connection)) }
    if let successor = first.successor { oldest = min(oldest, lowestID(in: successor)) }
    return oldest
  }

  private func lowestID(in connection: Connection) -> UInt64 {
    var lowest = UInt64.max
    for index in 0..<connection.ledger.count {
      if let entry = connection.ledger.entry(index), entry.isMessage, entry.id < lowest { lowest = entry.id }
    }
    return lowest
  }

  /// Drops what waits in the outbox.
  package func purge() -> Int {
    mutex.lock()
    defer { mutex.unlock() }
    // They belong to the next client.
    if outbound.isKept && closing.isForGood { return 0 }
    let count = outbound.outbox.purge()
    first.announceLosses("")
    first.canSendChanged()
    if let connection = first.connection, connection.phase == .closing, !connection.writeIsBlocked { connection.flush() }
    return count
  }
}
