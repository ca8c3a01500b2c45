// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseText

/// Connects to the first of several addresses that answers, as RFC 8305 ("Happy Eyeballs") describes: attempts start
/// some time apart, or at once when one fails; the first that connects wins and the others are closed.
///
/// It registers its sockets and timers on the loop itself and reports exactly once, on the driver's thread and with no
/// lock held, unless it is cancelled before. `start` and `cancel` may be called by any thread, also with locks of the
/// caller's held: its own lock is never held while it calls out.
package final class Connector: EventHandler, @unchecked Sendable {  // all `var`s are guarded by `mutex`
  /// The winner: a connected socket that is registered nowhere and belongs to the receiver of the report.
  package struct Connected: Sendable {
    package let descriptor: Int32
    package let address: SocketAddress
    package func makeStream() -> TCPStream { TCPStream(descriptor: descriptor, peer: address.description) }
  }
  package typealias Report = @Sendable (Result<Connected, TransportError>) -> Void

  /// RFC 8305 §8: 250 ms is the recommended delay between attempts.
  package static let recommendedAttemptDelay: Int64 = 250_000_000

  private enum Timer: Int { case nextAttempt, deadline }

  /// One socket on its way.
  private final class Attempt: EventHandler, @unchecked Sendable {  // guarded by the connector's lock
    let connector: Connector
    let address: SocketAddress
    var descriptor: Int32
    var registration = Registration.none

    init(_ connector: Connector, _ address: SocketAddress, _ descriptor: Int32) {
      self.connector = connector
      self.address = address
      self.descriptor = descriptor
    }

    override func handle(_ ready: Readiness) { connector.attemptHasEvent(self) }
  }

  private let mutex = Mutex()
  private let loop: EventLoop
  /// "example.com:443", for error sentences.
  private let name: String
  private let addresses: [SocketAddress]
  private let attemptDelay: Int64
  /// Before the first address that failed behind TCP lately, and how many come before that.
  private let suspectDelay: Int64
  private let sound: Int
  private let deadline: Int64
  private var report: Report?
  private var isStarted = false
  private var nextAddress = 0
  private var attempts: [Attempt] = []
  /// Addresses that failed, and what each said.
  private var failed: [SocketAddress] = []
  private var errnos: [Int32] = []
  /// Once one has won: those that have not failed either, in the order in which they would have had their turn.
  package private(set) var others: [SocketAddress] = []
  private var attemptTimer = TimerID.none
  private var deadlineTimer = TimerID.none

  /// - Parameters:
  ///   - addresses: in the resolver's order; families are interleaved here, IPv6 first, and what `AddressMemory` knows as
  ///     bad comes last.
  ///   - name: what error sentences call the target, "example.com:443".
  ///   - deadline: when to give up, on `Clock.monotonic()`; `.max` leaves it to the system.
  ///   - suspectDelayNs: what the others have before the first of those joins the race.
  ///   - report: called once with the outcome, then let go; not called after a `cancel()` that returned true.
  package init(
    loop: EventLoop, addresses: [SocketAddress], name: String, deadline: Int64,
    attemptDelayNs: Int64 = Connector.recommendedAttemptDelay,
    suspectDelayNs: Int64 = 8 * Connector.recommendedAttemptDelay, report: @escaping Report
  ) {
    self.loop = loop
    (self.addresses, sound) = AddressMemory.ordered(Self.interleaved(addresses))
    self.name = name
    self.attemptDelay = attemptDelayNs
    suspectDelay = suspectDelayNs
    self.deadline = deadline
    self.report = report
    super.init()
  }

  /// Begins; once. The first attempt is made on the driver's thread.
  package func start() {
    let first = mutex.withLock {
      defer { isStarted = true }
      return !isStarted && report != nil
    }
    if first { loop.post(self) }
  }

  /// Closes all sockets. True if no report was made and none will be.
  @discardableResult
  package func cancel() -> Bool {
    mutex.lock()
    let ended = report
    report = nil
    stop()
    mutex.unlock()
    return ended != nil
  }

  package override func posted(_ tag: Int) {
    mutex.lock()
    if report != nil, deadline != .max {
      deadlineTimer = loop.schedule(self, tag: Timer.deadline, deadline: deadline)
    }
    proceed()
  }

  package override func timerFired(_ tag: Int, _ timer: TimerID) {
    mutex.lock()
    guard report != nil else { return mutex.unlock() }
    if tag == Timer.deadline.rawValue {
      finish(.failure(timedOut()))
    } else {
      attemptTimer = .none
      proceed()
    }
  }

  /// RFC 8305 §4: the families take turns, so that one that does not work costs one delay and no more.
  static func interleaved(_ addresses: [SocketAddress]) -> [SocketAddress] {
    let six = addresses.filter { $0.isIPv6 }
    let four = addresses.filter { !$0.isIPv6 }
    var result: [SocketAddress] = []
    for index in 0..<max(six.count, four.count) {
      if index < six.count { result.add(six[index]) }
      if index < four.count { result.add(four[index]) }
    }
    return result
  }
}

// MARK: - On the driver's thread

extension Connector {
  private func attemptHasEvent(_ attempt: Attempt) {
    mutex.lock()
    guard report != nil, let index = attempts.firstIndex(where: { $0 === attempt }) else { return mutex.unlock() }
    var errno = psys_socket_error(attempt.descriptor)
    if errno == 0, isConnectedToItself(attempt) { errno = psys_ECONNREFUSED }
    if errno == 0 {
      attempts.remove(at: index)
      loop.unregister(attempt.registration)
      for other in attempts { others.add(other.address) }
      while nextAddress < addresses.count {
        others.add(addresses[nextAddress])
        nextAddress &+= 1
      }
      return finish(.success(Connected(descriptor: attempt.descriptor, address: attempt.address)))
    }
    attempts.remove(at: index)
    drop(attempt)
    note(attempt.address, errno)
    proceed()
  }

  private func note(_ address: SocketAddress, _ errno: Int32) {
    failed.append(address)
    errnos.append(errno)
  }

  /// A connect to a free local port may meet itself, when the system picks the same port as its source.
  private func isConnectedToItself(_ attempt: Attempt) -> Bool {
    var own = psys_address()
    return psys_local_address(attempt.descriptor, &own) == 0 && SocketAddress(own) == attempt.address
  }

  /// Under the lock, which it gives back: starts the next attempt, or ends when none is left.
  private func proceed() {
    guard report != nil else { return mutex.unlock() }
    loop.cancel(attemptTimer)
    attemptTimer = .none
    while nextAddress < addresses.count {
      let address = addresses[nextAddress]
      nextAddress &+= 1
      if let errno = begin(address) { note(address, errno) } else { break }
    }
    if attempts.isEmpty { return finish(.failure(allFailed())) }
    if nextAddress < addresses.count {
      attemptTimer = loop.schedule(
        self, tag: Timer.nextAttempt,
        deadline: Clock.deadline(Clock.monotonic(), after: nextAddress == sound ? suspectDelay : attemptDelay))
    }
    mutex.unlock()
  }

  /// Under the lock. An error number if the attempt failed at once.
  private func begin(_ address: SocketAddress) -> Int32? {
    let descriptor = psys_tcp_socket(address.storage.family)
    if descriptor < 0 { return -descriptor }
    var target = address.storage
    let status = psys_connect(descriptor, &target)
    if status != 0, status != -psys_EINPROGRESS {
      psys_close(descriptor)
      return -status
    }
    let attempt = Attempt(self, address, descriptor)
    do throws(TransportError) {
      attempt.registration = try loop.register(descriptor, attempt, for: .writable)
    } catch {
      psys_close(descriptor)
      return error.errno
    }
    attempts.append(attempt)
    return nil
  }

  /// Under the lock, which it gives back.
  private func finish(_ result: Result<Connected, TransportError>) {
    let receiver = report
    report = nil
    stop()
    mutex.unlock()
    receiver?(result)
  }

  /// Under the lock.
  private func stop() {
    for attempt in attempts { drop(attempt) }
    attempts.removeAll()
    loop.cancel(attemptTimer)
    loop.cancel(deadlineTimer)
  }

  private func drop(_ attempt: Attempt) {
    loop.unregister(attempt.registration)
    if attempt.descriptor >= 0 { psys_close(attempt.descriptor) }
    attempt.descriptor = -1
  }
}

// MARK: - Sentences

extension Connector {
  private static let mostNamed = 6

  private func allFailed() -> TransportError {
    guard var worst = errnos.first else {
      return TransportError(.resolve, "can't connect to \(name): it has no address")
    }
    for errno in errnos where Self.weight(errno) > Self.weight(worst) { worst = errno }
    return TransportError(
      TransportError.code(of: worst), errno: worst, "can't connect to \(name): \(summary())")
  }

  private func timedOut() -> TransportError {
    TransportError(.timeout, errno: psys_ETIMEDOUT, "can't connect to \(name) in time: \(summary())")
  }

  /// "connection refused" for one address that the name already shows, else each address with what it said.
  private func summary() -> String {
    // Bytes, not characters: comparing characters would link the Unicode tables.
    if addresses.count == 1, failed.count == 1, failed[0].description.bytes == name.bytes {
      return systemText(errnos[0])
    }
    var parts: [String] = []
    for index in 0..<failed.count { parts.append(sentence("\(failed[index].description) \(systemText(errnos[index]))")) }
    for attempt in attempts { parts.append(sentence("\(attempt.address.description) did not answer")) }
    let untried = addresses.count &- parts.count
    var text: Sentence = ""
    for part in parts.prefix(Self.mostNamed) { text.add(text.bytes.isEmpty ? "\(part)" : "; \(part)") }
    if parts.count > Self.mostNamed { text.add("; and \(parts.count &- Self.mostNamed) more") }
    if untried > 0 { text.add(text.bytes.isEmpty ? "\(untried) not tried" : "; \(untried) not tried") }
    return sentence(text)
  }

  /// Which of several errors says most about what is wrong.
  private static func weight(_ errno: Int32) -> Int {
    switch TransportError.code(of: errno) {
    case .files, .memory: 6
    case .refused: 5
    case .reset: 4
    case .timeout: 3
    case .unreachable: 1
    default: 2
    }
  }
}
