// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseProcess
import PulseServe
import PulseText
import PulseTopics
import PulseTransport
import PulseWire

/// One connection to a hub from accept to its end: TLS, requests, and after an upgrade a peer.
///
///     introducing -> securing -> requests -> open -> closing -> ended
///
/// Everything here runs on the thread that drives the loop, under the loop's mutex.
final class HubConnection: EventHandler, @unchecked Sendable {  // guarded by `owner.mutex`
  enum Phase: UInt8 { case introducing, securing, requests, open, closing, ended }

  /// One timer at a time.
  enum Timer: Int { case head, idle, answer, heartbeat, auth, close, drain }
  enum Post: Int { case read, write }

  /// Chunks that one turn takes from a connection before the others have theirs.
  private static let turns = 4

  // Small members stand together, since there is one of these for each peer.
  let owner: HubLoop
  let stream: ByteStream
  /// nil: from a Unix socket. Behind a proxy that introduces its clients (PROXY protocol) it is the client.
  var from: SocketAddress?
  let isSecure: Bool
  var phase: Phase
  /// The kernel took less than it was given: it says when there is room.
  var writeIsBlocked = false
  /// Nothing is read: an answer is awaited, or the application is behind.
  var readingIsPaused = false
  var isDue = false
  /// What limits of its address go by; nil where there are none.
  var key: AddressKey?
  /// There is more to read than one turn takes.
  private var readsAgain = false
  /// There is more to write than one turn takes.
  private var writesAgain = false
  /// The peer's end of input has come, or is behind what is to be read.
  private var sawHangup = false
  /// Whom a proxy speaks for.
  var client: IPAddress?
  /// Never used again, also as the number of the peer.
  let number: UInt64
  private var registration = Registration.none
  private var timer = TimerID.none
  var heardAt: Int64
  /// When bytes left for the last time.
  var wroteAt: Int64 = 0

  /// Answers to requests, and what opens a peer.
  var output = ByteQueue()
  /// Until the upgrade.
  var conversation: Conversation?
  /// From the upgrade on.
  var peer: HubPeer?
  /// The state of an upgrade that the application has not yet answered, or of a request.
  var request: UInt64 = 0

  /// `isIntroduced`: a proxy tells first whom it speaks for.
  init(_ stream: ByteStream, from: SocketAddress?, isIntroduced: Bool, isSecure: Bool, number: UInt64, owner: HubLoop) {
    self.stream = stream
    self.from = from
    self.number = number
    self.owner = owner
    self.isSecure = isSecure
    phase = isIntroduced ? .introducing : isSecure ? .securing : .requests
    heardAt = owner.host.loop.turnTime
    conversation = Conversation(limits: owner.hub.requestLimits)
    super.init()
  }

  /// False if it could not be watched.
  func start(_ first: [UInt8]) -> Bool {
    do throws(TransportError) {
      registration = try owner.host.loop.registerForChanges(stream.descriptor, self)
    } catch {
      owner.logAcceptFailure(error)
      return false
    }
    schedule(.head, after: owner.hub.options.headerTimeout)
    if !first.isEmpty {
      var first = first
      first.withUnsafeMutableBytes { receive($0) }
      finishTurn()
    }
    return true
  }

  var hub: Hub { owner.hub }

  /// Of the client, also behind a proxy that is trusted.
  var address: String { (client.map { $0.socketAddress(port: 0) } ?? from)?.host ?? "unix" }

  // MARK: Events of the loop

  override func handle(_ ready: Readiness) {
    owner.mutex.lock()
    defer { owner.mutex.unlock() }
    guard phase != .ended else { return }
    if ready.contains(.hangup) { sawHangup = true }
    if phase == .introducing && !introduce() { return }
    if phase == .securing && !secure() { return }
    if ready.contains(.writable) || stream.needsReadable { writeIsBlocked = false }
    read()
    finishTurn()
  }

  /// Writes what is there, also what others got by what this one said.
  private func finishTurn() {
    flush()
    owner.flushDue()
  }

  override func posted(_ tag: Int) {
    owner.mutex.lock()
    defer { owner.mutex.unlock() }
    guard phase != .ended else { return }
    if tag == Post.read.rawValue {
      readsAgain = false
      read()
    } else {
      writesAgain = false
    }
    finishTurn()
  }

  override func timerFired(_ tag: Int, _ timer: TimerID) {
    owner.mutex.lock()
    defer { owner.mutex.unlock() }
    guard self.timer == timer else { return }
    self.timer = .none
    guard phase != .ended, let due = Timer(rawValue: tag) else { return }
    switch due {
    case .head: headIsLate()
    case .idle: end(.idle)
    case .answer: answerIsLate()
    case .heartbeat: heartbeatIsDue()
    case .auth: close(code: CloseCode.unauthenticated, HubConnection.text("no token came in time"))
    case .close: closeIsLate()
    case .drain: closeAfterMessages(CloseCode.serviceRestart, Hub.restartText)
    }
    finishTurn()
  }

  /// Reads the PROXY header, which comes before TLS, and nothing behind it. False if it is not there yet, or was the end.
  private func introduce() -> Bool {
    var bytes = [UInt8](repeating: 0, count: ProxyProtocol.maxSize)
    let descriptor = stream.descriptor
    let count = bytes.withUnsafeMutableBytes { $0.baseAddress.map { psys_peek(descriptor, $0, ProxyProtocol.maxSize) } ?? 0 }
    if count == -Int64(psys_EAGAIN) { return false }
    let isOver = count <= 0 || sawHangup
    let size: Int
    switch bytes.withUnsafeBytes({ ProxyProtocol.parse($0.piece(0, Int(max(count, 0)))) }) {
    case .needsMore:
      if isOver { end(.lost) }
      return false
    case .failed(let why):
      owner.logProblem("\(why), from the proxy \(address)")
      end(.lost)
      return false
    case .local(let used): size = used
    case .address(let client, let port, let used):
      size = used
      from = client.socketAddress(port: port)
    }
    bytes.withUnsafeMutableBytes { if let start = $0.baseAddress { _ = psys_recv(descriptor, start, size) } }
    phase = isSecure ? .securing : .requests
    return owner.admit(self)
  }

  private func secure() -> Bool {
    switch stream.handshake() {
    case .bytes:
      owner.statistics.tlsHandshakes &+= 1
      phase = .requests
      return true
    case .wouldBlock: return false
    case .end, .failed:
      owner.statistics.tlsFailures &+= 1
      end(.lost)
      return false
    }
  }

  // MARK: Timers

  func schedule(_ tag: Timer, after duration: Int64) {
    schedule(tag, at: Clock.deadline(owner.host.loop.turnTime, after: duration))
  }

  func schedule(_ tag: Timer, at deadline: Int64) {
    cancelTimer()
    if deadline != .max { timer = owner.host.loop.schedule(self, tag: tag, deadline: deadline) }
  }

  func cancelTimer() {
    if timer != .none { owner.host.loop.cancel(timer) }
    timer = .none
  }

  /// A close frame that waited for messages goes now; one that was sent was not answered.
  private func closeIsLate() {
    if phase == .open, let peer, let code = peer.closesWhenEmpty { return close(code: code, peer.transient?.closeReason ?? []) }
    end(.unanswered)
  }

  private func headIsLate() {
    if phase == .securing || phase == .introducing { return end(.lost) }
    refuse(.requestTimeout(), to: nil)
  }

  /// Nothing that waits to be read is left out of a verdict.
  private func heartbeatIsDue() {
    guard let peer, phase == .open else { return }
    let now = owner.host.loop.turnTime
    // What waits in the socket because of this side says nothing about the peer; one that takes nothing of what it asked
    // for does.
    if peer.wasFlooding { heardAt = max(heardAt, wroteAt) } else if readingIsPaused { heardAt = now }
    if hub.options.heartbeatTimeout > 0, now &- heardAt >= hub.options.heartbeatTimeout, !readsAgain {
      owner.statistics.peersDead &+= 1
      return end(.dead)
    }
    if now >= peer.pingAt {
      peer.pingAt = Clock.deadline(now, after: hub.options.heartbeat)
      peer.ping()
      owner.statistics.pingsSent &+= 1
    }
    if !tokenStillHolds(peer) { return }
    scheduleHeartbeat(peer)
  }

  /// For whatever comes first: a ping, the end of the peer's silence, or that of its token. A close that is to come has the
  /// timer already.
  func scheduleHeartbeat(_ peer: HubPeer) {
    if owner.isDraining || peer.closesWhenEmpty != nil { return }
    let now = owner.host.loop.turnTime
    var next = min(peer.pingAt, tokenDeadline(peer))
    if hub.options.heartbeatTimeout > 0 {
      next = min(next, max(Clock.deadline(heardAt, after: hub.options.heartbeatTimeout), now &+ 100_000_000))
    }
    schedule(.heartbeat, at: next)
  }

  // MARK: Reading

  func read() {
    var turns = 0
    while phase != .ended, !readingIsPaused {
      if turns == HubConnection.turns { return readSoon() }
      turns &+= 1
      if phase == .open, mustPause() { return }
      let buffer = owner.host.readBuffer
      switch stream.read(into: buffer) {
      case .bytes(let count):
        heardAt = owner.host.loop.turnTime
        owner.statistics.bytesRead &+= UInt64(count)
        receive(UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]))
        if count < buffer.count, !stream.hasBufferedInput, !sawHangup { return }
      case .wouldBlock: return
      case .end: return inputEnded()
      case .failed: return end(.lost)
      }
    }
  }

  func writeSoon() {
    if writesAgain { return }
    writesAgain = true
    owner.host.loop.post(self, tag: Post.write)
  }

  private func readSoon() {
    if readsAgain { return }
    readsAgain = true
    owner.host.loop.post(self, tag: Post.read)
  }

  /// Goes on after a pause, unless the peer has to take what it asked for first.
  func resumeReading() {
    guard readingIsPaused, phase != .ended, peer?.wasFlooding != true else { return }
    readingIsPaused = false
    readSoon()
  }

  /// While the application is behind with its events, if messages of peers are among them, and while a peer does not take
  /// what it asked for, nothing more is read.
  private func mustPause() -> Bool {
    if hub.wantsMessages, hub.events.isFull {
      owner.pause(self)
      return true
    }
    guard let peer, peer.isFlooding else { return false }
    holdBack(peer)
    return true
  }

  func holdBack(_ peer: HubPeer) {
    peer.wasFlooding = true
    readingIsPaused = true
  }

  private func receive(_ bytes: UnsafeMutableRawBufferPointer) {
    switch phase {
    case .requests: receiveRequests(UnsafeRawBufferPointer(bytes))
    case .open, .closing:
      var offset = 0
      receiveFrames(bytes, from: &offset)
    case .introducing, .securing, .ended: break
    }
  }

  private func inputEnded() {
    if phase == .requests, let conversation, conversation.isAnswering || output.count > 0 {
      // Half-closed: what it asked for still goes out.
      conversation.isLast = true
      readingIsPaused = true
      return
    }
    end(phase == .closing ? .closed : .lost)
  }

  // MARK: The end

  enum End: UInt8 { case closed, lost, dead, idle, unanswered, unwatched }

  /// Done with it: what it held is given back, and it is told once.
  func end(_ how: End) {
    guard phase != .ended else { return }
    let wasOpen = peer != nil
    phase = .ended
    cancelTimer()
    owner.host.loop.unregister(registration)
    registration = .none
    conversation?.file = nil
    if how == .closed {
      Linger.start(stream, rest: UnsafeRawBufferPointer(start: nil, count: 0), host: owner.host)
    } else {
      stream.close()
    }
    if wasOpen { owner.peerEnded(self, how) }
    owner.remove(self)
  }
}
