// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseProcess
import PulseText
import PulseTransport
import PulseWire

/// Where a hub is to listen: `ws://host:port`, `wss://host:port`, `host:port`, `fd:3` with both, `unix:/path`.
final class ListenAddress {
  enum Place {
    case socket(SocketAddress, isDualStack: Bool)
    case unix(String)
    case descriptor(Int32)
  }

  let place: Place
  let isSecure: Bool

  init(place: Place, isSecure: Bool) {
    self.place = place
    self.isSecure = isSecure
  }

  static func parse(_ text: [UInt8]) throws(Failure) -> ListenAddress {
    var rest = text[...]
    var isSecure = false
    let unix: Literal = "unix:"
    let secure: Literal = "wss://"
    let plain: Literal = "ws://"
    if unix.begins(rest) {
      let path = rest.dropFirst(unix.count)
      if path.isEmpty || path.contains(0) { throw problem(text, "there is no path behind unix:") }
      return ListenAddress(place: .unix(String(bytes: path)), isSecure: false)
    }
    if secure.begins(rest) {
      isSecure = true
      rest = rest.dropFirst(secure.count)
    } else if plain.begins(rest) {
      rest = rest.dropFirst(plain.count)
    }
    if rest.last == UInt8(ascii: "/") { rest = rest.dropLast() }
    guard let colon = rest.lastIndex(of: UInt8(ascii: ":")) else { throw problem(text, "a port is missing") }
    let digits = rest[(colon + 1)...]
    for byte in digits where !HTTPText.isDigit(byte) { throw problem(text, "the port is not a number") }
    guard let number = HTTPText.decimal(digits, limit: 65_535) else { throw problem(text, "the port is not 0 to 65535") }
    let port = UInt16(truncatingIfNeeded: number)
    var host = rest[..<colon]
    if HTTPText.same(host, Literal("fd")) { return ListenAddress(place: .descriptor(Int32(port)), isSecure: isSecure) }
    if host.first == UInt8(ascii: "["), host.last == UInt8(ascii: "]") { host = host.dropFirst().dropLast() }
    if host.isEmpty || HTTPText.same(host, Literal("*")) { host = [58, 58] }  // "::", both families
    if HTTPText.same(host, Literal("localhost")) {
      return ListenAddress(place: .socket(.loopback(port: port), isDualStack: false), isSecure: isSecure)
    }
    guard let address = AddressResolver.literal(String(bytes: host), port: port) else {
      throw problem(text, "the host is neither an address nor localhost")
    }
    return ListenAddress(place: .socket(address, isDualStack: HTTPText.same(host, Literal("::"))), isSecure: isSecure)
  }

  @inline(never) private static func problem(_ text: [UInt8], _ why: Literal) -> Failure {
    Failure(.badValue, "can't listen on \(quoted: text[...]): \(why); allowed: ws://host:port, wss://host:port, fd:number, unix:/path")
  }
}

/// One socket that listens, for one loop.
final class HubListener: EventHandler, @unchecked Sendable {  // belongs to its loop; `open` and `close` come before and after it runs
  private static let batch = 64
  /// After a connection that could not be taken (ns).
  private static let pause: Int64 = 100_000_000

  private let owner: HubLoop
  let isSecure: Bool
  let socket: Listener
  private var registration: Registration?
  private var isClosed = false
  /// Given up to answer one more connection when no descriptor is left.
  private var spare: Int32 = -1

  init(_ address: ListenAddress, owner: HubLoop, backlog: Int32, sharesPort: Bool) throws(TransportError) {
    self.owner = owner
    isSecure = address.isSecure
    switch address.place {
    case .socket(let place, let isDualStack):
      socket = try Listener(place, backlog: backlog, isDualStack: isDualStack, sharesPort: sharesPort)
    case .unix(let path): socket = try Listener(path: path, backlog: backlog)
    case .descriptor(let given): socket = try Listener(copying: given)
    }
    spare = psys_spare()
    super.init()
  }

  func open() throws(TransportError) {
    registration = try owner.host.loop.register(socket.descriptor, self, for: .readable)
  }

  func close() {
    isClosed = true
    if let registration { owner.host.loop.unregister(registration) }
    registration = nil
    socket.close()
    if spare >= 0 { psys_close(spare) }
    spare = -1
  }

  /// So many at a time: peers that are connected have their turn between two batches.
  override func handle(_ ready: Readiness) {
    owner.mutex.lock()
    defer { owner.mutex.unlock() }
    for _ in 0..<HubListener.batch {
      if registration == nil { return }
      switch socket.accept() {
      case .stream(let stream, let from): owner.take(stream, from: from, listener: self)
      case .wouldBlock: return
      case .failed(let error): if !failed(error) { return }
      }
    }
  }

  /// Whether to go on. Without a free descriptor the connection would stay in the queue, and this be called again and
  /// again: the spare one takes it, to close it at once.
  private func failed(_ error: TransportError) -> Bool {
    owner.statistics.acceptFailures &+= 1
    owner.logAcceptFailure(error)
    if error.code == .files, spare < 0 { spare = psys_spare() }
    guard error.code == .files, spare >= 0 else {
      rest()
      return false
    }
    psys_close(spare)
    let taken = psys_accept(socket.descriptor, nil)
    if taken >= 0 {
      owner.statistics.connectionsRefused &+= 1
      psys_close(taken)
    }
    spare = psys_spare()
    if taken >= 0, spare >= 0 { return true }
    rest()
    return false
  }

  /// Who waits would be told again at once: the others have their turn first.
  private func rest() {
    if let registration { owner.host.loop.unregister(registration) }
    registration = nil
    owner.host.loop.schedule(self, deadline: Clock.deadline(Clock.monotonic(), after: HubListener.pause))
  }

  override func timerFired(_ tag: Int, _ timer: TimerID) {
    owner.mutex.lock()
    defer { owner.mutex.unlock() }
    if isClosed || registration != nil { return }
    do throws(TransportError) { try open() } catch { rest() }
  }
}
