// SPDX-License-Identifier: Apache-2.0
import PulseTransport
import PulseWire

/// An echo server on the library's own server role, for tests and conformance suites. One thread drives it.
package final class EchoServer: @unchecked Sendable {  // the loop is thread safe, the rest belongs to its driver
  private let loop: EventLoop
  private let listener: Listener
  private let acceptor: Acceptor
  private let mutex = Mutex()
  private var isStopped = false
  private var thread: Thread?

  /// Port 0: the system chooses one.
  package init(port: UInt16 = 0, tls: TLSContext? = nil) throws(TransportError) {
    loop = try EventLoop()
    listener = try Listener(.loopback(port: port))
    acceptor = Acceptor(listener, loop: loop, tls: tls)
    _ = try loop.register(listener.descriptor, acceptor, for: .readable)
  }

  package var port: UInt16 { listener.port }

  /// Serves until `stop`.
  package func run() {
    while !mutex.withLock({ isStopped }) { _ = loop.runOnce(timeoutNs: -1) }
  }

  package func start() throws(TransportError) {
    thread = try Thread.start(name: "echo-server") { self.run() }
  }

  package func stop() {
    mutex.withLock { isStopped = true }
    loop.wake()
    thread?.join()
    thread = nil
  }
}

/// One connection: reads, parses, echoes.
private final class EchoConnection: EventHandler, @unchecked Sendable {  // used by the one thread that drives the loop
  private static let closeGrace: Int64 = 2_000_000_000

  // The server owns the loop, and the loop its handlers.
  private unowned(unsafe) let loop: EventLoop
  private let stream: ByteStream
  private var registration: Registration?
  private var request: UpgradeRequestParser? = UpgradeRequestParser()
  private var wire: WireConnection?
  private var output = ByteQueue()
  private var isEnding = false
  private var isSecured = false
  private let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

  init(_ stream: ByteStream, loop: EventLoop) {
    self.stream = stream
    self.loop = loop
  }

  deinit { chunk.deallocate() }

  func start() {
    registration = try? loop.register(stream.descriptor, self, for: .readable)
  }

  override func handle(_ ready: Readiness) {
    if !isSecured {
      switch stream.handshake() {
      case .bytes: isSecured = true
      case .wouldBlock:
        if let registration { loop.update(registration, for: stream.needsWritable ? [.readable, .writable] : .readable) }
        return
      case .end, .failed: return finish()
      }
    }
    if !ready.isDisjoint(with: [.readable, .hangup]) || stream.hasBufferedInput { read() }
    write()
  }

  override func timerFired(_ tag: Int, _ timer: TimerID) { finish() }

  private func read() {
    switch stream.read(into: chunk) {
    case .bytes(let count):
      receive(UnsafeMutableRawBufferPointer(rebasing: chunk[..<count]))
      if stream.hasBufferedInput && registration != nil { read() }
    case .wouldBlock: break
    case .end, .failed: finish()
    }
  }

  private func receive(_ bytes: UnsafeMutableRawBufferPointer) {
    if isEnding { return }
    if let wire { return echo(bytes, wire) }
    switch request?.receive(UnsafeRawBufferPointer(bytes)) {
    case .request(let info): accept(info, bytes)
    case .failed(let failure):
      if let answer = UpgradeResponse.reject(failure) { answer.withUnsafeBytes { output.append($0) } }
      end()
    case .needMoreBytes, nil: break
    }
  }

  private func accept(_ info: UpgradeRequestInfo, _ bytes: UnsafeMutableRawBufferPointer) {
    let deflate = negotiateDeflate(offers: info.deflateOffers, policy: DeflatePolicy())
    guard case .success(let answer) = UpgradeResponse.accept(info, deflateAnswer: deflate?.answer) else { return end() }
    answer.withUnsafeBytes { output.append($0) }
    request = nil
    let wire = WireConnection(
      configuration: WireConfiguration(role: .server, maxMessageSize: 64 << 20, deflate: deflate?.parameters))
    self.wire = wire
    if info.consumed < bytes.count { echo(UnsafeMutableRawBufferPointer(rebasing: bytes[info.consumed...]), wire) }
  }

  private func echo(_ bytes: UnsafeMutableRawBufferPointer, _ wire: WireConnection) {
    var offset = 0
    while true {
      switch wire.receive(bytes, from: &offset) {
      case .needMoreBytes: return
      case .message(let message): wire.encode(message.kind, message.payload, maskKey: 0, into: &output)
      case .ping(let payload): wire.encodePong(payload, maskKey: 0, into: &output)
      case .pong: break
      case .close(let code, _):
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        wire.encodeClose(code: code == CloseCode.absent ? nil : code, reason: nothing, maskKey: 0, into: &output)
        return end()
      case .failure(let failure):
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        wire.encodeClose(code: failure.closeCode, reason: nothing, maskKey: 0, into: &output)
        return end()
      }
    }
  }

  private func write() {
    guard let registration else { return }
    while output.count > 0 {
      switch stream.write(output.readable) {
      case .bytes(let count): output.consume(count)
      case .wouldBlock:
        // While the peer does not read, nothing more is read from it.
        loop.update(registration, for: isEnding ? [.readable, .writable] : .writable)
        return
      case .end, .failed: return finish()
      }
    }
    loop.update(registration, for: .readable)
    if isEnding { stream.shutdown() }
  }

  /// What is in `output` is the last: the peer gets a moment to read it and to end its side.
  private func end() {
    isEnding = true
    loop.schedule(self, tag: 0, deadline: Clock.monotonic() + Self.closeGrace)
  }

  private func finish() {
    if let registration { loop.unregister(registration) }
    registration = nil
    stream.close()
  }
}

private final class Acceptor: EventHandler, @unchecked Sendable {  // used by the one thread that drives the loop
  // The server owns the loop, and the loop its handlers.
  private unowned(unsafe) let loop: EventLoop
  private let listener: Listener
  private let tls: TLSContext?

  init(_ listener: Listener, loop: EventLoop, tls: TLSContext?) {
    self.listener = listener
    self.loop = loop
    self.tls = tls
  }

  override func handle(_ ready: Readiness) {
    while case .stream(let tcp, from: _) = listener.accept() {
      EchoConnection(tls?.makeServerStream(over: tcp) ?? tcp, loop: loop).start()
    }
  }
}
