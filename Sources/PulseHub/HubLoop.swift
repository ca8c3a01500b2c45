// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseFlow
import PulseProcess
import PulseServe
import PulseText
import PulseTopics
import PulseTransport
import PulseWire
import Synchronization

/// The part of a hub that one loop serves: its listeners, its connections, what it has read of each topic. Peers never
/// change their loop.
final class HubLoop: EventHandler, @unchecked Sendable {  // guarded by `mutex`, the inbox by `inboxMutex`
  enum Post: Int { case inbox, status }

  /// It lets go of its loops when it ends.
  let hub: Hub
  let host: LoopHost
  let index: Int
  let mutex = Mutex()
  /// Held while the hub is asked about itself, which `end` waits for. Taken before any loop's `mutex`.
  let askingMutex = Mutex()
  var listeners: [HubListener] = []
  var statistics = HubStatistics()
  let encoder: FrameEncoder
  let rules: QueueRules
  let joined = JoinedBytes()
  let random = SecureRandom()

  // Connections by the low bits of their number.
  private var connections: [HubConnection?] = []
  private var generations: [UInt32] = []
  private var free: [UInt32] = []
  private var paused: [HubConnection?] = []
  private var requests: UInt64 = 0
  private static let watchTag = -1
  static let flushTag = -2
  private var watchTimer: TimerID?
  private(set) var isEnded = false
  /// Of the heartbeat messages, by the place of the route.
  var heartbeats: [TimerID] = []
  var isDraining = false
  /// Connections with something to write, at the end of the turn.
  var due: [HubConnection?] = []
  /// Requests about the hub that wait for their answer.
  var asked: [Question] = []
  /// By the number of the topic.
  var topics: [LoopTopic?] = []
  /// Topics with messages that are not to go out yet.
  var gathering: [LoopTopic?] = []
  /// When the first of them is due.
  var flushAt: Int64 = 0
  var flushTimer: TimerID?

  let inboxMutex = Mutex()
  var inbox = HubInbox()
  /// Nobody carries out a post any more: it would hold the loop, and the loop itself.
  var inboxIsClosed = false

  /// Slots of one loop.
  private static let mostSlots = 1 << 26

  init(_ hub: Hub, host: LoopHost, index: Int) {
    self.hub = hub
    self.host = host
    self.index = index
    encoder = FrameEncoder(
      compressionThreshold: hub.options.compressionThreshold,
      compressionLevel: Int32(truncatingIfNeeded: hub.options.compressionLevel))
    rules = QueueRules(
      policy: PulseTopics.SlowPolicy(rawValue: hub.options.slowPolicy.rawValue) ?? .dropOldest,
      maxMessages: hub.options.queueMessages, maxBytes: hub.options.queueBytes)
    super.init()
  }

  /// With what is counted elsewhere.
  var present: HubStatistics {
    var all = statistics
    all.messagesOffered = rules.books.offered
    all.messagesWritten = rules.books.written
    all.messagesConflated = rules.books.conflated
    all.messagesDropped = rules.books.dropped
    all.messagesQueued = rules.books.queued
    all.gapsSent &+= rules.gapsSent
    all.framesEncoded = encoder.framesEncoded
    all.framesCompressed = encoder.framesCompressed
    all.eventsEmitted = all.messagesWritten
    return all
  }

  // MARK: Life

  func begin() throws(TransportError) {
    mutex.lock()
    defer { mutex.unlock() }
    for listener in listeners { try listener.open() }
    startHeartbeats()
    if index == 0 { watchTopics() }
  }

  /// Closes everything at once. No lock is held.
  func end() {
    mutex.lock()
    isEnded = true
    closeListeners()
    // Each knows this loop, which would stay for ever.
    listeners = []
    for connection in connections { connection?.end(.lost) }
    cancelFlush()
    stopHeartbeats()
    if let watchTimer { host.loop.cancel(watchTimer) }
    inboxMutex.withLock {
      inbox = HubInbox()
      inboxIsClosed = true
    }
    // Whatever refers to the loop again, so that it and its descriptors go.
    due = []
    paused = []
    mutex.unlock()
    // A loop that goes on without the hub may be in `answerAsked`.
    askingMutex.lock()
    askingMutex.unlock()
  }

  private func closeListeners() {
    for listener in listeners { listener.close() }
  }

  /// The first loop does it for all.
  private func watchTopics() {
    guard let interval = hub.topics.watchInterval else { return }
    watchTimer = host.loop.schedule(self, tag: HubLoop.watchTag, deadline: Clock.deadline(Clock.monotonic(), after: interval))
  }

  // MARK: Turns

  override func posted(_ tag: Int) {
    if tag == Post.status.rawValue { return answerAsked() }
    mutex.lock()
    defer { mutex.unlock() }
    if isEnded { return }
    var taken = HubInbox()
    inboxMutex.lock()
    swap(&taken, &inbox)
    inboxMutex.unlock()
    for command in taken.commands { carryOut(command) }
    for topic in taken.topics { topicHasNews(topic, isAlone: taken.topics.count == 1) }
    flushDue()
  }

  override func timerFired(_ tag: Int, _ timer: TimerID) {
    mutex.lock()
    defer { mutex.unlock() }
    if isEnded { return }
    if tag == HubLoop.watchTag {
      if watchTimer != timer { return }
      for topic in hub.topics.becameStale(host.loop.turnTime) { hub.stateChanged(topic) }
      watchTopics()
    } else if tag == HubLoop.flushTag {
      if flushTimer != timer { return }
      flushTopics()
    } else {
      heartbeatMessagesAreDue(tag, timer)
    }
    flushDue()
  }

  func setDue(_ connection: HubConnection) {
    if connection.isDue { return }
    connection.isDue = true
    due.append(connection)
  }

  func flushDue() {
    var index = 0
    while index < due.count {
      due[index]?.flush()
      index &+= 1
    }
    due.removeAll(keepingCapacity: due.count <= 16_384)
  }

  // MARK: Connections

  /// Takes a connection over from a listener.
  func take(_ stream: TCPStream, from: SocketAddress?, listener: HubListener?, first: [UInt8] = []) {
    statistics.connectionsAccepted &+= 1
    // Whom a trusted proxy speaks for is known with its header, or with the request.
    let isProxy = hub.trusted.trusts(from.map { IPAddress($0) })
    let isIntroduced = isProxy && hub.options.proxyProtocol && listener != nil
    let key = hub.limitsAddresses && !isProxy ? HubLoop.key(from) : nil
    if let key, !mayConnect(key, stream, isSecure: listener?.isSecure == true) { return stream.close() }
    let count = hub.connections.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue
    guard count <= hub.options.maxConnections, !isDraining, let slot = takeSlot() else {
      statistics.connectionsRefused &+= 1
      if listener?.isSecure != true {
        say(
          .unavailable(
            isDraining ? "the hub is being restarted" : "the hub has as many connections as it may have", retryAfter: 5), stream)
      }
      stream.close()
      return connectionIsGone(key)
    }
    let number = UInt64(generations[slot]) << 32 | UInt64(index) << 26 | UInt64(slot)
    var whole: ByteStream = stream
    if listener?.isSecure == true {
      guard let secured = hub.secured(stream) else {
        stream.close()
        free.append(UInt32(truncatingIfNeeded: slot))
        return connectionIsGone(key)
      }
      whole = secured
    }
    let connection = HubConnection(
      whole, from: from, isIntroduced: isIntroduced, isSecure: listener?.isSecure == true, number: number, owner: self)
    connection.key = key
    // What waits in the kernel can't be conflated any more.
    psys_tcp_limit_unsent(stream.descriptor)
    connections[slot] = connection
    statistics.httpConnections &+= 1
    if !connection.start(first) { connection.end(.unwatched) }
  }

  /// Whom a proxy has introduced, within the limits of its address; else it is at its end.
  func admit(_ connection: HubConnection) -> Bool {
    if !hub.limitsAddresses || hub.trusted.trusts(connection.from.map { IPAddress($0) }) { return true }
    let key = HubLoop.key(connection.from)
    guard mayConnect(key, connection.stream, isSecure: connection.isSecure) else {
      connection.end(.lost)
      return false
    }
    connection.key = key
    return true
  }

  /// If not, the client was told so, unless it waits for a TLS handshake.
  private func mayConnect(_ key: AddressKey, _ stream: ByteStream, isSecure: Bool) -> Bool {
    guard case .tooMany(_, let seconds) = hub.addresses.connect(key, host.loop.turnTime) else { return true }
    statistics.connectionsRefused &+= 1
    if !isSecure { say(.tooMany("this address has or opens too many connections", retryAfter: seconds), stream) }
    return false
  }

  /// Without reading what was asked for, and without waiting: it may get lost.
  @inline(never) private func say(_ refusal: Refusal, _ stream: ByteStream) {
    let answer = refusal.encode(to: nil, requestID: requestID(), date: Clock.realtime() / 1_000_000_000)
    answer.withUnsafeBytes { _ = stream.write($0) }
    stream.shutdown()
  }

  private func takeSlot() -> Int? {
    if let slot = free.popLast() {
      generations[Int(slot)] &+= 1
      return Int(slot)
    }
    if connections.count >= HubLoop.mostSlots { return nil }
    connections.append(nil)
    generations.append(1)
    return connections.count &- 1
  }

  func remove(_ connection: HubConnection) {
    let slot = Int(connection.number & UInt64(HubLoop.mostSlots &- 1))
    guard slot < connections.count, connections[slot] === connection else { return }
    connections[slot] = nil
    if connection.readingIsPaused { forgetPause(connection) }
    // A number is never used again: a slot whose numbers are used up stays empty.
    if generations[slot] != .max { free.append(UInt32(truncatingIfNeeded: slot)) }
    if connection.peer == nil { statistics.httpConnections &-= 1 }
    connectionIsGone(connection.key)
  }

  private static func key(_ from: SocketAddress?) -> AddressKey { from.map { AddressKey(IPAddress($0)) } ?? .unix }

  /// A token of that address was refused.
  func noteFailure(_ connection: HubConnection) {
    statistics.tokensRefused &+= 1
    if let key = connection.key { hub.addresses.failed(key, host.loop.turnTime) }
  }

  private func connectionIsGone(_ key: AddressKey?) {
    if let key { hub.addresses.disconnect(key) }
    let left = hub.connections.wrappingSubtract(1, ordering: .sequentiallyConsistent).newValue
    if left == 0, isDraining { hub.tellWhetherDrained() }
  }

  /// 0 is nobody, and the request of all that ask nothing.
  func connection(_ number: UInt64) -> HubConnection? {
    if number == 0 { return nil }
    let slot = Int(number & UInt64(HubLoop.mostSlots &- 1))
    guard slot < connections.count, let found = connections[slot], found.number == number || found.request == number else { return nil }
    return found
  }

  /// `place`: the tag of a peer's queue.
  func connection(at place: UInt) -> HubConnection? {
    let slot = Int(place)
    return slot < connections.count ? connections[slot] : nil
  }

  /// While the kernel takes what one peer gets, the memory of the next ones comes near, one step of the way after the other:
  /// there are more of them than the caches hold. What is asked for is not retained, since that would wait for it.
  @inline(__always) func fetchAhead(_ entry: LoopTopic, _ place: Int) {
    if place &+ 3 >= entry.subscribers.count { return }
    fetch(entry.subscribers.withUnsafeBytes { HubLoop.address($0, place &+ 3) }, 64)
    fetch(entry.subscribers[place &+ 2].queueAddress, 192)
    guard let next = entry.subscribers[place &+ 1].queue else { return }
    let slot = Int(next.tag)
    if slot < connections.count { fetch(connections.withUnsafeBytes { HubLoop.address($0, slot) }, 192) }
  }

  @inline(__always) private static func address(_ objects: UnsafeRawBufferPointer, _ place: Int) -> UnsafeRawPointer? {
    objects.load(fromByteOffset: place &* MemoryLayout<UnsafeRawPointer?>.stride, as: UnsafeRawPointer?.self)
  }

  @inline(__always) private func fetch(_ address: UnsafeRawPointer?, _ size: Int) {
    if let address { psys_fetch_ahead(address, size) }
  }

  /// The place of the loop that a number belongs to.
  static func index(of number: UInt64) -> Int { Int(number >> 26 & 63) }

  /// Those whose upgrade is done and that are not being closed.
  @inline(never) func openConnections() -> [HubConnection?] {
    var open: [HubConnection?] = []
    for connection in connections where connection?.phase == .open { open.append(connection) }
    return open
  }

  /// `route`: only to peers of this one. Who has to say who he is gets nothing before.
  @inline(never) func sendToAll(_ frame: SharedFrame, route: Int? = nil) {
    for connection in openConnections() {
      guard let connection, let peer = connection.peer, !peer.awaitsToken, route == nil || peer.route.index == route else { continue }
      give(frame, to: connection, peer)
    }
  }

  /// A message apart from topics is never dropped: a peer that lets more of them wait than its queue may hold is closed.
  func give(_ frame: SharedFrame, to connection: HubConnection, _ peer: HubPeer) {
    if peer.queue.controlBytes > 0, peer.queue.controlBytes &+ frame.count > hub.options.queueBytes {
      statistics.peersSlow &+= 1
      return connection.close(code: CloseCode.tooSlow, HubLoop.slowText)
    }
    peer.queue.control(frame)
    setDue(connection)
  }

  // MARK: Pauses

  /// Until the application has caught up with its events.
  func pause(_ connection: HubConnection) {
    connection.readingIsPaused = true
    statistics.readPauses &+= 1
    paused.append(connection)
  }

  private func forgetPause(_ connection: HubConnection) {
    for index in 0..<paused.count where paused[index] === connection {
      paused[index] = paused[paused.count &- 1]
      paused.removeLast()
      return
    }
  }

  func resumeReading() {
    let waiting = paused
    paused = []
    for connection in waiting { connection?.resumeReading() }
  }

  // MARK: Drain

  /// Each peer gets a moment of its own, so that not all come back at once.
  func drain(_ spread: Int64) {
    isDraining = true
    closeListeners()
    hub.accepting.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    let peers = openConnections()
    for connection in connections where connection?.phase != .open { connection?.drainRequests(spread) }
    let step = peers.isEmpty ? 0 : max(spread, 0) / Int64(peers.count)
    let now = host.loop.turnTime
    for place in 0..<peers.count {
      peers[place]?.closeLater(at: Clock.deadline(now, after: step &* Int64(place)))
    }
    hub.tellWhetherDrained()
  }

  // MARK: Names and log

  /// A number for a request, by which the loop finds its connection again.
  func nextRequest(of connection: HubConnection) -> UInt64 {
    requests &+= 1
    return requests << 32 | connection.number & 0xFFFF_FFFF
  }

  /// For the log and for who asks: the place of the loop and a count.
  func requestID() -> String {
    requests &+= 1
    return sentence("\(String(bytes: hub.epoch))-\(index)-\(requests)")
  }

  private func log(_ level: LogLevel, _ line: Sentence) {
    Log.write(level, sentence("[\(String(bytes: hub.options.name))] \(line)"))
  }

  func logAcceptFailure(_ error: TransportError) {
    if Log.isOn(.warning) { log(.warning, "\(error.text)") }
  }

  func logProblem(_ line: Sentence) {
    if Log.isOn(.warning) { log(.warning, line) }
  }

  func logRefusal(_ connection: HubConnection, _ refusal: Refusal, _ identity: String) {
    if Log.isOn(.info) {
      log(.info, "refused \(connection.address) with \(refusal.status) \(refusal.code) (\(identity)): \(refusal.message)")
    }
  }
}
