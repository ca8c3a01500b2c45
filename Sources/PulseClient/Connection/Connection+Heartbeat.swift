// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseEngine
import PulseFlow
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// Heartbeats to the peer, answers to its own, and the deadlines for any sign of life. The client's lock is held.
extension Connection {
  private static let pongLimit = 16 << 10
  /// So long at least a peer has to answer that was not asked in time, since this process did not run (ns).
  static let answerTime: Int64 = 500_000_000
  /// The time that reading has to catch up before what is missed counts as not come (ns).
  private static let mostCatchingUp: Int64 = 500_000_000

  func scheduleHeartbeat() {
    let options = client.options
    var next = nextHeartbeatAt
    if options.heartbeatTimeout > 0 {
      next = min(next, deadAt)
      if isUploading { next = min(next, Clock.monotonic() &+ options.heartbeatTimeout / 4) }
    }
    if options.serverHeartbeatTimeout > 0 && phase == .open {
      var deadAt = Clock.deadline(serverHeartbeatAt, after: options.serverHeartbeatTimeout)
      if readsAgain { deadAt = max(deadAt, Clock.deadline(host.loop.turnTime, after: Liveness.lookAgainPause)) }
      if deadAt < next { next = deadAt }
    }
    guard next != Int64.max else { return }
    heartbeatTimer = host.loop.schedule(self, tag: Timer.heartbeat, deadline: next)
  }

  func heartbeatIsDue() {
    guard phase == .open || phase == .closing else { return }
    let options = client.options
    // What had arrived by then was read, however long this process did not run.
    let now = host.loop.turnTime
    // What waits to be read is a sign of life. While the consumer makes reading pause, silence says nothing about the
    // server's heartbeats either.
    if hasUnread { lastReceivedAt = now }
    if readingPaused { serverHeartbeatAt = now }
    lookAtUpload(now)
    if options.heartbeatTimeout > 0 && now >= deadAt && !asksLate(now) {
      lingers = false
      end(
        Failure(
          .dead,
          "\(url.redacted): no byte from the server within heartbeat_timeout (\(seconds: options.heartbeatTimeout) s)"))
      return
    }
    if options.serverHeartbeatTimeout > 0 && phase == .open
      && Clock.deadline(serverHeartbeatAt, after: options.serverHeartbeatTimeout) <= readUpTo
    {
      leave(
        Failure(
          .stale,
          "\(url.redacted): no server_heartbeat within server_heartbeat_timeout (\(seconds: options.serverHeartbeatTimeout) s)"))
      return
    }
    if now >= nextHeartbeatAt {
      nextHeartbeatAt = Clock.deadline(now, after: options.heartbeatInterval)
      // While messages still leave, too.
      if phase == .open || (pendingClose != nil && options.heartbeatMessage == nil) { sendHeartbeat(now) }
      if phase == .ended { return }
      if client.inbound.queue.isEmpty { client.inbound.queue.trim() }
    }
    scheduleHeartbeat()
  }

  // MARK: Signs of life

  /// What is missed by this time did not come: all that had arrived was read. What a later turn goes on to read may have
  /// been there before, but a torrent that never lets this side catch up is not waited for.
  var readUpTo: Int64 { readsAgain ? host.loop.turnTime &- Connection.mostCatchingUp : host.loop.turnTime }

  /// Without another sign of life the peer is dead at this time.
  private var deadAt: Int64 {
    let timeout = client.options.heartbeatTimeout
    let silentUntil = Clock.deadline(lastReceivedAt, after: timeout)
    var last = lastReceivedAt
    // A proxy's acknowledgements say little about the server.
    if uploadedAt > last { last = proxy == nil ? uploadedAt : min(uploadedAt, silentUntil) }
    return max(Clock.deadline(last, after: timeout), answerUntil)
  }

  /// The heartbeat that the peer should have been asked with was not sent in time: it gets a moment to answer it now.
  private func asksLate(_ now: Int64) -> Bool {
    let time = max(Connection.answerTime, line.roundTrips.smoothed &* 4)
    guard phase == .open, heartbeatIsAnswered, nextHeartbeatAt < now &- time else { return false }
    answerUntil = Clock.deadline(now, after: min(time, client.options.heartbeatTimeout))
    return true
  }

  /// The peer does not take at once what is written. As long as it takes some of it, it lives, though its answer to a
  /// heartbeat may have to wait behind that.
  func beginUpload() {
    guard !isUploading, phase == .open || phase == .closing, client.options.heartbeatTimeout > 0, let stream else { return }
    isUploading = true
    acknowledgedBytes = psys_tcp_acknowledged(stream.descriptor, nil)
    guard let timer = heartbeatTimer else { return }
    host.loop.cancel(timer)
    scheduleHeartbeat()
  }

  private func lookAtUpload(_ now: Int64) {
    guard isUploading, let stream else { return }
    var waiting: Int32 = 0
    let count = psys_tcp_acknowledged(stream.descriptor, &waiting)
    if count > acknowledgedBytes {
      acknowledgedBytes = count
      uploadedAt = now
    }
    if output.count == 0 && waiting == 0 { isUploading = false }
  }

  // MARK: Heartbeats

  private func sendHeartbeat(_ now: Int64) {
    heartbeatCounter &+= 1
    if let template = client.options.heartbeatMessage {
      // A second one behind one that the peer does not take tells nothing more.
      guard hasRoom, session.subscribes else { return }
      encodeOwn(line.texts.render(template, Clock.realtime()))
      line.noteMessage()
    } else {
      guard let wire, control.count < Connection.pongLimit else { return }
      var payload = heartbeatCounter.bigEndian
      withUnsafeBytes(of: &payload) { bytes in
        _ = wire.encodePing(bytes, maskKey: random.next32(), into: &control)
      }
      line.statistics.pingsSent &+= 1
      line.noteControl()
    }
    heartbeatSentAt = now
    heartbeatIsAnswered = false
    if !writeIsBlocked { flush() }
  }

  /// A message or a pong answers the last heartbeat.
  func heartbeatAnswered() {
    if heartbeatIsAnswered { return }
    heartbeatIsAnswered = true
    line.roundTrips.add(Clock.monotonic() &- heartbeatSentAt)
  }

  /// A pong that answers the last ping gives a round trip; one that was not asked for is allowed (RFC 6455 §5.5.3).
  func pongArrived(_ payload: UnsafeRawBufferPointer) {
    line.statistics.pongsReceived &+= 1
    guard payload.count == 8, UInt64(bigEndian: payload.loadUnaligned(as: UInt64.self)) == heartbeatCounter else { return }
    heartbeatAnswered()
  }

  /// RFC 6455 §5.5.2: a pong with the same payload, unless the close handshake has begun. To a peer that floods with
  /// pings and does not read, only the latest is owed (§5.5.3): the memory for pongs is bounded.
  func answerPing(_ payload: UnsafeRawBufferPointer) {
    line.statistics.pingsReceived &+= 1
    if control.count >= Connection.pongLimit && !writeIsBlocked { flush() }
    guard let wire, !wire.closeSent else { return }
    if control.count >= Connection.pongLimit {
      if owedPong != nil { line.statistics.pongsSkipped &+= 1 }
      owedPong = [UInt8](payload)
      return
    }
    _ = wire.encodePong(payload, maskKey: random.next32(), into: &control)
    line.statistics.pongsSent &+= 1
    line.noteControl()
  }

  /// The pings that came while there was no room for pongs: the latest is answered now.
  func payOwedPong() {
    guard let payload = owedPong, let wire else { return }
    owedPong = nil
    payload.withUnsafeBytes { bytes in
      _ = wire.encodePong(bytes, maskKey: random.next32(), into: &control)
    }
    line.statistics.pongsSent &+= 1
    line.noteControl()
  }
}
