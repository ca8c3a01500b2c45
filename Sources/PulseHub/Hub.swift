// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseProcess
import PulseServe
import PulseText
import PulseTopics
import PulseTransport
import PulseWire
import Synchronization

/// A hub: it takes connections, hands out topics, and tells the application what it asked to hear of.
///
/// Locks, from the outside inwards: `mutex` (set-up, start, end), a loop's, the topic table's, a topic's. Leaves: those of
/// the event queue, of a loop's inbox, and `inner`. A feed holds its client's lock around them all but the first.
package final class Hub: @unchecked Sendable {  // guarded by `mutex`, or constant once it runs
  enum State: UInt8 { case made, running, draining, ended }

  private let mutex = Mutex()
  /// For what loops look at: the certificate, and the end of a drain; and for the list of feeds.
  let inner = Mutex()
  private let drained = Condition()
  private let mark = ForkMark()
  private let given: LoopHost?
  private let stateNow = Atomic<UInt8>(State.made.rawValue)
  // Constant once it runs.
  var options = HubOptions()
  var routes = HubRoutes()
  let topics: HubTopicTable
  let epoch: [UInt8]
  private var places: [ListenAddress] = []
  private(set) var loops: [HubLoop] = []
  let events = HubEventQueue()
  private(set) var startedAt: Int64 = 0
  private(set) var serverHeaders: [HTTPHeader] = []
  private(set) var cors = CORS()
  private(set) var requestLimits = RequestLimits()
  private(set) var wantsMessages = false
  /// Bytes that were published and that not every loop has read yet.
  let unread = Atomic<Int>(0)
  let connections = Atomic<Int>(0)
  /// Loops that still accept.
  let accepting = Atomic<Int>(0)
  let published = HubPublished()
  let keys = TokenKeys()
  let addresses: HubAddresses
  private(set) var limitsAddresses = false
  private(set) var trusted = TrustedProxies()
  /// Peers that a drain has closed.
  let drainedPeers = Atomic<Int>(0)
  /// Guarded by `inner`, as are the next two.
  private var tls: TLSContext?
  private var isDrained = false
  /// The first of a list.
  var feeds: HubFeed?
  let fed = HubFed()

  /// `host` nil: loops of its own.
  package init(host: LoopHost?) throws(TransportError) {
    given = host
    // The loop stays as long as the hub, whoever else gives it up.
    try host?.addUser()
    let random = SecureRandom()
    epoch = Hub.token(random.next64(), 8)
    topics = HubTopicTable(epoch: epoch, seed: random.next64())
    addresses = HubAddresses(seed: random.next64())
  }

  static var restartText: [UInt8] { ("the hub is being restarted" as Sentence).bytes }

  package var isForked: Bool { mark.isForked }
  private(set) var state: State {
    get { State(rawValue: stateNow.load(ordering: .sequentiallyConsistent)) ?? .ended }
    set { stateNow.store(newValue.rawValue, ordering: .sequentiallyConsistent) }
  }
  var isDraining: Bool { state == .draining }

  /// Letters and digits.
  static func token(_ random: UInt64, _ count: Int) -> [UInt8] {
    let digits: Literal = "0123456789abcdefghijklmnopqrstuvwxyz"
    var rest = random
    var out: [UInt8] = []
    for _ in 0..<count {
      out.add(digits.start[Int(rest % 36)])
      rest /= 36
    }
    return out
  }

  // MARK: Set-up

  @inline(never) private func notNow() -> Failure { Failure(.busy, "the hub is started; this comes before") }

  package func set(_ name: [UInt8], _ value: [UInt8]) -> Failure? {
    mutex.lock()
    defer { mutex.unlock() }
    if state != .made { return notNow() }
    return options.set(name, value).map { Failure($0) }
  }

  package func listen(_ text: [UInt8]) -> Failure? {
    mutex.lock()
    defer { mutex.unlock() }
    if state != .made { return notNow() }
    do throws(Failure) {
      let address = try ListenAddress.parse(text)
      if places.count >= 64 { return Failure(.badValue, "a hub listens in at most 64 places") }
      places.append(address)
      return nil
    } catch {
      return error
    }
  }

  package func route(_ path: [UInt8], _ name: [UInt8], _ value: [UInt8]) -> Failure? {
    mutex.lock()
    defer { mutex.unlock() }
    if state != .made { return notNow() }
    return routes.set(path, name, value)
  }

  package func topic(_ pattern: [UInt8], _ name: [UInt8], _ value: [UInt8]) -> Failure? {
    mutex.lock()
    defer { mutex.unlock() }
    if state != .made { return notNow() }
    return topics.set(pattern, name, value)
  }

  package func key(_ name: [UInt8], _ algorithm: [UInt8], _ material: [UInt8]) -> Failure? {
    mutex.lock()
    defer { mutex.unlock() }
    if state != .made { return notNow() }
    return keys.add(name: name, algorithm: algorithm, material: material).map { Failure(.badValue, text: $0) }
  }

  // MARK: Life

  package func start() -> Failure? {
    mutex.lock()
    defer { mutex.unlock() }
    if state != .made { return notNow() }
    Log.readEnvironment()
    events.set(mostEvents: options.eventQueueMessages, mostBytes: options.eventQueueBytes)
    wantsMessages = options.events.contains(.message)
    if !options.serverHeader.isEmpty { serverHeaders = [(name: "Server", value: String(bytes: options.serverHeader))] }
    if let problem = HeaderCheck.problem(serverHeaders) { return Failure(.badValue, text: problem) }
    for origin in options.origins {
      if let problem = cors.allow(origin) { return Failure(.badValue, text: problem) }
    }
    for proxy in options.trustedProxies {
      if let problem = trusted.add(proxy) { return Failure(.badValue, text: problem) }
    }
    requestLimits.bodySize = options.maxRequestBody
    if options.auth == .required, keys.isEmpty { return Failure(.badValue, "auth=required needs a key (pulsews_hub_key)") }
    limitsAddresses = addresses.set(for: self)
    do throws(Failure) {
      try routes.finish(for: self)
      tls = try loadTLS()
      try makeLoops()
      startedAt = Clock.monotonic()
      accepting.store(loops.count, ordering: .sequentiallyConsistent)
      state = .running
      try beginLoops()
    } catch {
      stop()
      state = .ended
      return error
    }
    return nil
  }

  private func beginLoops() throws(Failure) {
    do throws(TransportError) {
      for loop in loops { try loop.begin() }
    } catch {
      throw Failure(error)
    }
  }

  @inline(never) private func loadTLS() throws(Failure) -> TLSContext? {
    var isNeeded = false
    for address in places where address.isSecure { isNeeded = true }
    if options.certificate.isEmpty {
      if isNeeded { throw Failure(.trust, "wss:// needs option certificate") }
      return nil
    }
    let certificate = String(bytes: options.certificate)
    let key = options.certificateKey.isEmpty ? certificate : String(bytes: options.certificateKey)
    do throws(TransportError) {
      return try TLSContext.server(certificateFile: certificate, keyFile: key)
    } catch {
      throw Failure(error)
    }
  }

  private func makeLoops() throws(Failure) {
    // Other threads look at `loops` without the mutex: it changes once, in one step, until nobody else uses the hub.
    var made: [HubLoop] = []
    defer { loops = made }
    do throws(TransportError) {
      let count = given == nil ? options.loops : 1
      for index in 0..<count {
        let host: LoopHost
        if let given {
          host = given
        } else {
          host = try LoopHost(hasThread: true)
          try host.addUser()
        }
        made.append(HubLoop(self, host: host, index: index))
      }
      for address in places {
        var place = address
        for loop in made {
          // A Unix socket has one queue; the first loop takes from it.
          if case .unix = address.place, loop.index > 0 { break }
          let listener = try HubListener(
            place, owner: loop, backlog: Int32(truncatingIfNeeded: options.backlog), sharesPort: count > 1)
          loop.listeners.append(listener)
          // The port that the system chose is that of all loops.
          if case .socket(_, let isDualStack) = address.place {
            place = ListenAddress(place: .socket(listener.socket.address, isDualStack: isDualStack), isSecure: address.isSecure)
          }
        }
      }
    } catch {
      throw Failure(error)
    }
  }

  /// Certificates are read again; connections that are open keep theirs.
  package func reload() -> Failure? {
    mutex.lock()
    defer { mutex.unlock() }
    if state == .made || state == .ended { return Failure(.notConnected, "the hub does not run") }
    do throws(Failure) {
      if let made = try loadTLS() { inner.withLock { tls = made } }
      return nil
    } catch {
      return error
    }
  }

  func secured(_ stream: ByteStream) -> ByteStream? { inner.withLock { tls }?.makeServerStream(over: stream) }

  /// Where it listens, in the order of `listen`.
  package func address(_ index: Int) -> String? {
    mutex.lock()
    defer { mutex.unlock() }
    guard let first = loops.first, index >= 0, index < first.listeners.count else { return nil }
    return first.listeners[index].socket.name
  }

  /// No new connections; peers are closed with 1012, spread over `spread`; waits until `deadline` (monotonic ns) for the
  /// last one to go.
  package func drain(spread: Int64, until deadline: Int64) -> StatusCode {
    mutex.lock()
    let before = state
    if before == .running {
      state = .draining
      for loop in loops { loop.send(HubCommand(.drain(spread < 0 ? options.drainSpread : spread))) }
    }
    mutex.unlock()
    if before == .made || before == .ended { return .notConnected }
    inner.lock()
    defer { inner.unlock() }
    while !isDrained {
      if deadline == .max {
        drained.wait(inner)
      } else if Clock.monotonic() >= deadline || !drained.wait(inner, untilNs: deadline) {
        return isDrained ? .ok : .timeout
      }
    }
    return .ok
  }

  /// While the hub drains: whether the last connection has gone, and no loop takes another.
  func tellWhetherDrained() {
    if accepting.load(ordering: .sequentiallyConsistent) > 0 || connections.load(ordering: .sequentiallyConsistent) > 0 { return }
    inner.lock()
    let isFirst = !isDrained
    isDrained = true
    drained.broadcast()
    inner.unlock()
    if !isFirst { return }
    let event = HubEvent(.drained)
    event.count = UInt64(max(drainedPeers.load(ordering: .relaxed), 0))
    emit(event)
    events.end()
  }

  /// Ends everything at once. Nobody else uses it any more.
  package func finish() {
    leaveFeeds()
    mutex.lock()
    defer { mutex.unlock() }
    let hasStopped = state == .ended
    state = .ended
    if !hasStopped { stop() }
    loops = []
    if let given { DefaultHost.release(given) }
  }

  private func stop() {
    events.end()
    for loop in loops { loop.end() }
    if given == nil {
      for loop in loops { DefaultHost.release(loop.host) }
    }
  }
}

extension Failure {
  convenience init(_ refusal: OptionRefusal) { self.init(refusal.isUnknown ? .unknownOption : .badValue, Sentence(refusal.sentence[...])) }
}

/// What was published, over all topics.
final class HubPublished: Sendable {
  let messages = Atomic<UInt64>(0)
  let bytes = Atomic<UInt64>(0)
  let refused = Atomic<UInt64>(0)
}
