// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import Testing

@testable import PulseTransport

/// A stream to a proxy that this test plays, over a pair of sockets.
private final class Tunnel {
  let stream: ProxyStream
  let tap: Tap
  let proxy: TCPStream

  init(_ url: String, host: String = "target.example", port: UInt16 = 443, address: SocketAddress? = nil) throws {
    var first: Int32 = -1
    var second: Int32 = -1
    #expect(psys_socket_pair(&first, &second) == 0)
    tap = Tap(TCPStream(descriptor: first, peer: "proxy"))
    proxy = TCPStream(descriptor: second, peer: "client")
    stream = ProxyStream(
      over: tap, proxy: try ProxyURL.parse(url).get(), host: host, port: port, address: address)
  }

  deinit {
    stream.close()
    proxy.close()
  }

  /// What the proxy has got, as text.
  func heard() -> String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = buffer.withUnsafeMutableBytes { proxy.read(into: $0) }.count ?? 0
    return String(decoding: buffer[..<count], as: UTF8.self)
  }

  func say(_ text: String) { #expect(Array(text.utf8).withUnsafeBytes { proxy.write($0) }.count == text.utf8.count) }
  func say(_ bytes: [UInt8]) { #expect(bytes.withUnsafeBytes { proxy.write($0) }.count == bytes.count) }

  func error() -> TransportError? { if case .failed(let error) = stream.handshake() { error } else { nil } }
  var waits: Bool { if case .wouldBlock = stream.handshake() { true } else { false } }
  var isOpen: Bool { if case .bytes = stream.handshake() { true } else { false } }

  func read() -> String {
    var buffer = [UInt8](repeating: 0, count: 100)
    let count = buffer.withUnsafeMutableBytes { stream.read(into: $0) }.count ?? -1
    return count < 0 ? "nothing" : String(decoding: buffer[..<count], as: UTF8.self)
  }
}

@Suite struct ProxyStreamTests {
  private static let answer = "HTTP/1.1 200 OK\r\nVia: 1.1 x\r\n\r\n"

  @Test func connect() throws {
    let tunnel = try Tunnel("http://me:p%3Aw@proxy.example:1")
    #expect(tunnel.read() == "nothing" && tunnel.waits && tunnel.stream.needsReadable)
    #expect(
      tunnel.heard()
        == "CONNECT target.example:443 HTTP/1.1\r\nHost: target.example:443\r\n"
        + "Proxy-Authorization: Basic bWU6cDp3\r\n\r\n")
    tunnel.say(Self.answer + "first words")
    #expect(tunnel.isOpen && !tunnel.stream.needsReadable)
    #expect(tunnel.read() == "first words", "they belong to the tunnel")
    #expect(Array("hello".utf8).withUnsafeBytes { tunnel.stream.write($0) }.count == 5)
    #expect(tunnel.heard() == "hello")
    #expect(tunnel.isOpen, "as often as one asks")
  }

  @Test func byteByByte() throws {
    let tunnel = try Tunnel("http://proxy.example", host: "::1", port: 81)
    tunnel.tap.writePortion = 1
    tunnel.tap.readPortion = 1
    #expect(tunnel.waits)
    #expect(tunnel.heard() == "CONNECT [::1]:81 HTTP/1.1\r\nHost: [::1]:81\r\n\r\n")
    for byte in Self.answer.utf8.dropLast() {
      tunnel.say([byte])
      #expect(tunnel.waits)
    }
    tunnel.say("\n")
    #expect(tunnel.isOpen)
  }

  @Test func blockedWrite() throws {
    let tunnel = try Tunnel("http://proxy.example")
    tunnel.tap.isBlocked = true
    #expect(tunnel.waits && tunnel.stream.needsWritable)
    tunnel.tap.isBlocked = false
    #expect(tunnel.waits && !tunnel.stream.needsWritable && tunnel.heard().hasPrefix("CONNECT target.example:443 "))
  }

  @Test func refusals() throws {
    let login = try Tunnel("http://me:secret@proxy.example:1")
    login.say("HTTP/1.1 407 No\r\n\r\n")
    let error = try #require(login.error())
    #expect(error.code == .proxyLogin && error.text.hasPrefix("the proxy http://proxy.example:1: it refused with"))
    #expect(!error.text.contains("secret") && !error.text.contains("me"))
    #expect(login.error()?.code == .proxyLogin, "it stays")
    #expect(login.read() == "nothing")

    let page = try Tunnel("http://proxy.example:1")
    page.say("HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\nnot to this ho")
    #expect(page.waits)
    #expect(page.stream.timedOut()?.text.hasSuffix("refused with \"HTTP/1.1 403 Forbidden\": \"not to this ho\"") == true)
    #expect(page.error()?.code == .proxy)

    let silent = try Tunnel("http://proxy.example:1")
    #expect(silent.waits && silent.stream.timedOut() == nil)
  }

  @Test func ends() throws {
    for (answer, part) in [("", "without an answer"), ("HTTP/1.1 2", "in the middle of its answer")] {
      let tunnel = try Tunnel("http://proxy.example:1")
      tunnel.say(answer)
      tunnel.proxy.shutdown()
      let error = try #require(tunnel.error())
      #expect(error.code == .proxy && error.text.contains(part))
    }
    let body = try Tunnel("http://proxy.example:1")
    body.say("HTTP/1.1 500 E\r\nContent-Length: 9\r\n\r\nhalf")
    body.proxy.shutdown()
    #expect(body.error()?.text.hasSuffix("\"half\"") == true)
    let reset = try Tunnel("socks5h://proxy.example:1")
    reset.proxy.close()
    #expect(reset.error()?.code == .proxy)
  }

  @Test func socks() throws {
    let tunnel = try Tunnel("socks5h://me:pw@proxy.example")
    #expect(tunnel.waits && tunnel.heard() == "\u{5}\u{2}\u{0}\u{2}")
    tunnel.say([5, 2])
    #expect(tunnel.waits && tunnel.heard() == "\u{1}\u{2}me\u{2}pw")
    tunnel.say([1, 0])
    #expect(tunnel.waits && tunnel.heard().contains("target.example"))
    tunnel.say([5, 0, 0, 1, 1, 2, 3, 4, 0, 9, 65, 66])
    #expect(tunnel.isOpen && tunnel.read() == "AB")
  }

  @Test func socksAddresses() throws {
    for (host, address, request) in [
      ("127.0.0.1", nil, [5, 1, 0, 1, 127, 0, 0, 1, 1, 187]),
      ("name.example", .loopback(port: 9), [5, 1, 0, 1, 127, 0, 0, 1, 1, 187]),
      ("::1", nil, [5, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 187]),
    ] as [(String, SocketAddress?, [UInt8])] {
      let tunnel = try Tunnel("socks5://proxy.example", host: host, address: address)
      tunnel.say([5, 0, 5, 5, 0, 1])
      let error = try #require(tunnel.error())
      #expect(tunnel.heard() == String(decoding: [5, 1, 0] + request, as: UTF8.self))
      #expect(error.text.hasSuffix("it refused with code 5, connection refused") && tunnel.stream.refusedAddress)
    }
  }

  @Test func overTLS() throws {
    let pair = try TLSPair()
    let stream = ProxyStream(
      over: pair.client, proxy: try ProxyURL.parse("https://good.example").get(), host: "h", port: 1, address: nil)
    var heard: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1000)
    var isOpen = false
    for _ in 0..<20_000 where !isOpen {
      if case .bytes = stream.handshake() { isOpen = true }
      guard case .bytes = pair.server.handshake() else { continue }
      if let count = buffer.withUnsafeMutableBytes({ pair.server.read(into: $0) }).count {
        heard += buffer[..<count]
        let text = Array((Self.answer + "tunnel").utf8)
        #expect(text.withUnsafeBytes { pair.server.write($0) }.count == text.count)
      }
    }
    #expect(isOpen && String(decoding: heard, as: UTF8.self).hasPrefix("CONNECT h:1 "))
    #expect(stream.hasBufferedInput, "what came in the same record")
    let count = buffer.withUnsafeMutableBytes { stream.read(into: $0) }.count ?? 0
    #expect(String(decoding: buffer[..<count], as: UTF8.self) == "tunnel")
  }

  @Test func noTLSWithTheProxy() throws {
    let pair = try TLSPair(trustsNothingOfOurs: true)
    let stream = ProxyStream(
      over: pair.client, proxy: try ProxyURL.parse("https://good.example").get(), host: "h", port: 1, address: nil)
    var found: TransportError?
    for _ in 0..<20_000 where found == nil {
      if case .failed(let error) = stream.handshake() { found = error }
      _ = pair.server.handshake()
    }
    let error = try #require(found)
    #expect(error.code != .proxy && error.text.hasPrefix("the proxy https://good.example:443: "))
    #expect(error.text.contains("certificate"))

    let plain = try Tunnel("https://proxy.example:1")
    let refusal = TransportError(.tls, "no TLS").atProxy("https://proxy.example:1")
    #expect(refusal.code == .proxy && refusal.text == "the proxy https://proxy.example:1: no TLS")
    #expect(TransportError(.hostname, "x").atProxy("p").code == .hostname)
    #expect(plain.waits)
  }
}
