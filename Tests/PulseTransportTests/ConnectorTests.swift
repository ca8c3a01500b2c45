// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import Foundation
import Testing

@testable import PulseTransport

@Suite struct ConnectorTests {
  typealias Outcome = Result<Connector.Connected, TransportError>

  /// Connects with a loop of its own and waits for the report.
  func connect(
    _ addresses: [SocketAddress], name: String = "test.example:80", within: Int64 = patience,
    attemptDelay: Int64 = Connector.recommendedAttemptDelay
  ) throws -> Outcome {
    let loop = try EventLoop()
    let outcome = Guarded<Outcome?>(nil)
    let connector = Connector(
      loop: loop, addresses: addresses, name: name, deadline: Clock.monotonic() + within,
      attemptDelayNs: attemptDelay
    ) { result in
      #expect(outcome.value == nil, "reported twice")
      outcome.value = result
    }
    connector.start()
    connector.start()
    try #require(drive(loop) { outcome.value != nil })
    #expect(!connector.cancel())
    #expect(loop.nextDeadline == nil, "all timers are gone")
    #expect(loop.runOnce(timeoutNs: 0) == 0)
    return try #require(outcome.value)
  }

  private func failure(_ outcome: Outcome) throws -> TransportError {
    switch outcome {
    case .success(let connected):
      psys_close(connected.descriptor)
      Issue.record("it connected to \(connected.address)")
      throw TransportError(.io, "connected")
    case .failure(let error): return error
    }
  }

  @Test func connectsAndHandsOverAPlainSocket() throws {
    let listener = try Listener(.loopback(port: 0))
    let connected = try connect([listener.address]).get()
    #expect(connected.address == listener.address)
    let stream = connected.makeStream()
    guard case .stream(let peer, let from) = listener.accept() else { throw TransportError(.io, "no connection") }
    #expect(from?.host == "127.0.0.1")
    guard case .bytes(3) = write(stream, "abc") else { throw TransportError(.io, "no write") }
    #expect(awaitInput(peer.descriptor))
    #expect(read(peer) == "abc")
    guard case .wouldBlock = listener.accept() else { throw TransportError(.io, "a second connection") }
  }

  @Test func refused() throws {
    let port = RefusingPort()
    let error = try failure(try connect([port.address], name: "127.0.0.1:\(port.port)"))
    #expect(error.code == .refused)
    #expect(error.text == "can't connect to 127.0.0.1:\(port.port): connection refused")
    let named = try failure(try connect([port.address]))
    #expect(named.text == "can't connect to test.example:80: 127.0.0.1:\(port.port) connection refused")
  }

  @Test func noAddress() throws {
    #expect(try failure(try connect([])).code == .resolve)
  }

  @Test func aFailureStartsTheNextAttemptAtOnce() throws {
    let port = RefusingPort()
    let listener = try Listener(.loopback(port: 0))
    // The delay is longer than the test's patience.
    let connected = try connect([port.address, listener.address], attemptDelay: 100 * patience).get()
    #expect(connected.address == listener.address)
    psys_close(connected.descriptor)
  }

  @Test func aSilentAddressCostsOneDelay() throws {
    let silent = try FullListener(.loopback(port: 0))
    let listener = try Listener(.loopback(port: 0))
    let start = Clock.monotonic()
    let connected = try connect([silent.listener.address, listener.address], attemptDelay: milliseconds(30)).get()
    #expect(connected.address == listener.address)
    #expect(Clock.monotonic() - start >= milliseconds(30))
    psys_close(connected.descriptor)
  }

  @Test func theDeadlineEndsItAndNamesWhoWasSilent() throws {
    let silent = try FullListener(.loopback(port: 0))
    let port = RefusingPort()
    let error = try failure(
      try connect([port.address, silent.listener.address], within: milliseconds(40), attemptDelay: milliseconds(5)))
    #expect(error.code == .timeout)
    #expect(
      error.text == "can't connect to test.example:80 in time: \(port.address) connection refused; "
        + "\(silent.listener.address) did not answer")
    let untried = try failure(
      try connect(
        [silent.listener.address, port.address], within: milliseconds(20), attemptDelay: patience))
    #expect(untried.text.hasSuffix("did not answer; 1 not tried"))
  }

  @Test(.enabled(if: hasIPv6)) func theFamiliesRace() throws {
    let silent = try FullListener(.loopback6(port: 0))
    let four = try Listener(.loopback(port: 0))
    let connected = try connect([four.address, silent.listener.address], attemptDelay: milliseconds(20)).get()
    #expect(connected.address == four.address)
    psys_close(connected.descriptor)
    let six = try Listener(.loopback6(port: 0))
    let first = try connect([four.address, six.address], attemptDelay: 100 * patience).get()
    #expect(first.address == six.address, "IPv6 is tried first")
    psys_close(first.descriptor)
  }

  @Test func familiesAreInterleaved() {
    let four = (1...3).map { SocketAddress.loopback(port: $0) }
    let six = (1...2).map { SocketAddress.loopback6(port: $0) }
    #expect(Connector.interleaved(four + six) == [six[0], four[0], six[1], four[1], four[2]])
    #expect(Connector.interleaved([]) == [])
  }

  @Test func theMostTellingErrorWins() throws {
    let port = RefusingPort()
    // 255.255.255.255 is no address to connect to.
    let nowhere = try #require(AddressResolver.literal("255.255.255.255", port: 9))
    let error = try failure(try connect([nowhere, port.address]))
    #expect(error.code == .refused)
    #expect(error.text.contains("255.255.255.255:9 "))
  }

  @Test func cancelClosesAndSaysNothing() throws {
    let loop = try EventLoop()
    let silent = try FullListener(.loopback(port: 0))
    let reported = Guarded(false)
    let connector = Connector(
      loop: loop, addresses: [silent.listener.address], name: "x", deadline: Clock.monotonic() + patience
    ) { _ in reported.value = true }
    connector.start()
    #expect(loop.runOnce(timeoutNs: -1) == 1)
    #expect(loop.nextDeadline != nil)
    let thread = try Thread.start(name: "cancel") { #expect(connector.cancel()) }
    thread.join()
    #expect(!connector.cancel())
    #expect(loop.nextDeadline == nil)
    #expect(loop.runOnce(timeoutNs: 0) == 0)
    connector.start()
    #expect(loop.runOnce(timeoutNs: 0) == 0)
    #expect(!reported.value)
  }

  @Test func aConnectorThatIsDoneIsFreed() throws {
    let loop = try EventLoop()
    let listener = try Listener(.loopback(port: 0))
    let done = Guarded<Outcome?>(nil)
    weak var watched: Connector?
    do {
      let connector = Connector(
        loop: loop, addresses: [listener.address, listener.address], name: "x", deadline: .max
      ) { done.value = $0 }
      watched = connector
      connector.start()
    }
    #expect(drive(loop) { done.value != nil })
    #expect(watched == nil)
    psys_close(try #require(try done.value?.get()).descriptor)
  }
}

@Suite struct TCPTests {
  @Test func endOfStreamAndReset() throws {
    let listener = try Listener(.loopback(port: 0))
    for reset in [false, true] {
      let descriptor = psys_tcp_socket(4)
      var target = listener.address.storage
      let status = psys_connect(descriptor, &target)
      #expect(status == 0 || status == -psys_EINPROGRESS)
      #expect(awaitInput(listener.descriptor))
      guard case .stream(let peer, _) = listener.accept() else { throw TransportError(.io, "no connection") }
      let stream = TCPStream(descriptor: descriptor, peer: "peer:1")
      #expect(read(stream) == nil)
      // The option belongs to the socket, whichever descriptor sets it: the last close resets.
      if reset { psys_close_reset(dup(peer.descriptor)) }
      peer.close()
      #expect(awaitInput(descriptor))
      switch stream.read(into: scratch) {
      case .end: #expect(!reset)
      case .failed(let error):
        #expect(reset)
        #expect(error.code == .reset)
        #expect(error.text == "reading from peer:1 failed: connection reset by peer")
      default: Issue.record("neither end nor reset")
      }
      // Writing to a closed socket is an error and no signal.
      if reset {
        guard case .failed(let error) = write(stream, "x") else { throw TransportError(.io, "it wrote") }
        #expect(error.code == .reset)
      }
      stream.close()
      stream.close()
      #expect(stream.descriptor == -1)
      guard case .failed = stream.read(into: scratch) else { throw TransportError(.io, "it read") }
    }
  }

  @Test func aFullSocketWouldBlock() {
    let pair = SocketPair()
    let stream = TCPStream(descriptor: dup(pair.first), peer: "x")
    let block = [UInt8](repeating: 1, count: 1 << 20)
    var result = IOResult.bytes(0)
    var rounds = 0
    while case .bytes = result, rounds < 100 {
      result = block.withUnsafeBytes { stream.write($0) }
      rounds += 1
    }
    guard case .wouldBlock = result else { return _ = Issue.record("it took everything") }
  }

  @Test func listenerErrors() throws {
    let listener = try Listener(.loopback(port: 0))
    #expect(listener.port != 0)
    do {
      _ = try Listener(listener.address)
      Issue.record("two listeners on one port")
    } catch {
      #expect(error.text == "can't listen on \(listener.address): address already in use")
    }
  }

  @Test(.enabled(if: hasIPv6)) func dualStack() throws {
    let any = try #require(AddressResolver.literal("::", port: 0))
    let listener = try Listener(any, isDualStack: true)
    let descriptor = psys_tcp_socket(4)
    var target = SocketAddress.loopback(port: listener.port).storage
    let status = psys_connect(descriptor, &target)
    #expect(status == 0 || status == -psys_EINPROGRESS)
    #expect(awaitInput(listener.descriptor))
    guard case .stream = listener.accept() else { return _ = Issue.record("no connection") }
    psys_close(descriptor)
  }
}

@Suite struct AddressTests {
  @Test func literals() {
    #expect(AddressResolver.literal("127.0.0.1", port: 80)?.description == "127.0.0.1:80")
    #expect(AddressResolver.literal("::1", port: 81)?.description == "[::1]:81")
    #expect(AddressResolver.literal("::1", port: 81) == .loopback6(port: 81))
    #expect(AddressResolver.literal("127.0.0.1", port: 9) == .loopback(port: 9))
    #expect(AddressResolver.literal("2001:DB8::0:1", port: 1)?.host == "2001:db8::1")
    #expect(AddressResolver.literal("fe80::1%lo", port: 1)?.description == "[fe80::1%lo]:1")
    for bad in ["", "localhost", "127.1", "1.2.3.4.5", "[::1]", "::1%nosuchinterface", ":::", "1.2.3.256", "::1%"] {
      #expect(AddressResolver.literal(bad, port: 1) == nil, "\(bad)")
    }
    #expect(AddressResolver.literal(String(repeating: "1:", count: 500), port: 1) == nil)
  }

  @Test func localhostNeedsNoNetwork() throws {
    for name in ["localhost", "LOCALHOST", "localhost.", "a.localhost"] {
      let list = try AddressResolver.resolve(host: name, port: 77).get()
      #expect(!list.isEmpty)
      for address in list {
        #expect(address.port == 77)
        #expect(address.host == "::1" || address.host.hasPrefix("127."))
      }
      #expect(Set(list.map(\.description)).count == list.count, "no address twice")
    }
    #expect(try AddressResolver.resolve(host: "10.1.2.3", port: 1).get().map(\.description) == ["10.1.2.3:1"])
  }

  @Test func unknownNames() {
    // RFC 6761 §6.4: "invalid" never has addresses. Without a name server the sentence is another, the code is not.
    guard case .failure(let error) = AddressResolver.resolve(host: "no-such-host.invalid", port: 1) else {
      return _ = Issue.record("it has an address")
    }
    #expect(error.code == .resolve)
    #expect(error.text.hasPrefix("can't resolve the host name no-such-host.invalid: "))
  }
}

// MARK: - Small helpers on streams

nonisolated(unsafe) private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 1)

private func write(_ stream: ByteStream, _ text: String) -> IOResult {
  Array(text.utf8).withUnsafeBytes { stream.write($0) }
}

/// What can be read now; nil if nothing.
private func read(_ stream: ByteStream) -> String? {
  var buffer = [UInt8](repeating: 0, count: 64)
  return buffer.withUnsafeMutableBytes { bytes in
    guard case .bytes(let count) = stream.read(into: bytes) else { return nil }
    return String(decoding: bytes[0..<count], as: UTF8.self)
  }
}
