// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import CPulseSys
import Foundation
import Testing

@testable import PulseTransport

@Suite struct TLSStreamTests {
  private static let megabyte: [UInt8] = (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 131 ^ ($0 >> 9)) }

  @Test func dataBothWays() throws {
    let pair = try TLSPair().connect()
    #expect(pair.client.version == "TLSv1.3")
    #expect(pass(Self.megabyte, from: pair.client, to: pair.server) == Self.megabyte)
    #expect(pass(Self.megabyte, from: pair.server, to: pair.client) == Self.megabyte)
    #expect(!pair.client.needsReadable && !pair.client.needsWritable)
  }

  @Test func byteByByteBelow() throws {
    let pair = try TLSPair()
    for tap in [pair.clientTap, pair.serverTap] {
      tap.readPortion = 1
      tap.writePortion = 33
    }
    _ = try pair.connect()
    let text = Array("every byte on its own".utf8)
    #expect(pass(text, from: pair.client, to: pair.server) == text)
    #expect(pass(text, from: pair.server, to: pair.client) == text)
  }

  @Test func httpIsNegotiated() throws {
    let pair = try TLSPair().connect()
    #expect(pair.client.applicationProtocol == "http/1.1")
    #expect(pair.server.applicationProtocol == "http/1.1")
    #expect(pair.server.requestedServerName == "good.example")
    let literal = try TLSPair(host: "127.0.0.1").connect()
    #expect(literal.server.requestedServerName == "", "no SNI for an address (RFC 6066 §3)")
  }

  @Test(arguments: ["good.example", "GOOD.example", "good.example.", "a.wild.example", "127.0.0.1", "::1"])
  func namesOfTheCertificate(_ host: String) throws {
    #expect(try TLSPair(host: host).problem() == nil)
  }

  @Test(arguments: ["evil.example", "wild.example", "a.b.wild.example", "127.0.0.2", "::2", "good.example.evil"])
  func otherNames(_ host: String) throws {
    let errors = try #require(try TLSPair(host: host).handshake())
    #expect(errors.client?.code == .hostname)
    #expect(
      errors.client?.text.hasPrefix(
        "the certificate is not for \(host), but for good.example, *.wild.example, 127.0.0.1") == true)
    #expect(errors.server?.code == .tls, "the server gets an alert")
  }

  @Test func emptyAndImpossibleHosts() throws {
    for host in ["", "a\u{0}b", String(repeating: "a", count: 300)] {
      #expect(try TLSPair(host: host).handshake()?.client?.code == .hostname)
    }
  }

  @Test func unknownAuthority() throws {
    let errors = try #require(try TLSPair(trustsNothingOfOurs: true).handshake())
    #expect(errors.client?.code == .unknownCA)
    #expect(
      errors.client?.text
        == "a certificate of good.example comes from an authority that is not trusted: CN=good, issued by CN=ca; "
        + "give that authority as ca_file, or have the server send the certificates between")
  }

  @Test func expired() throws {
    let errors = try #require(try TLSPair(certificate: "expired").handshake())
    #expect(errors.client?.code == .expired)
    #expect(
      errors.client?.text.hasPrefix(
        "a certificate of good.example has expired: CN=expired, issued by CN=ca, was valid until 2020-02-01T00:00:00Z; "
          + "by this machine's clock it is 20") == true)
  }

  @Test func withoutVerificationEverythingPasses() throws {
    #expect(try TLSPair(certificate: "expired", host: "evil.example", verify: false).problem() == nil)
  }

  @Test func closeNotifyIsTheEnd() throws {
    let pair = try TLSPair().connect()
    #expect(pass([1, 2, 3], from: pair.server, to: pair.client) == [1, 2, 3])
    var buffer = [UInt8](repeating: 0, count: 10)
    #expect([UInt8](4...5).withUnsafeBytes { pair.server.write($0) }.count == 2)
    pair.server.shutdown()
    pair.server.shutdown()
    #expect(buffer.withUnsafeMutableBytes { pair.client.read(into: $0) }.count == 2)
    #expect(pair.client.hasBufferedInput, "the end is not told yet")
    guard case .end = buffer.withUnsafeMutableBytes({ pair.client.read(into: $0) }) else {
      return _ = Issue.record("no end")
    }
    #expect(!pair.client.hasBufferedInput)
    guard case .end = buffer.withUnsafeMutableBytes({ pair.client.read(into: $0) }) else {
      return _ = Issue.record("the end is not the end")
    }
    // Its own direction is still open.
    #expect(pass([9], from: pair.client, to: pair.server) == [9])
    pair.client.shutdown()
    guard case .end = buffer.withUnsafeMutableBytes({ pair.server.read(into: $0) }) else {
      return _ = Issue.record("no end at the server")
    }
  }

  @Test func aCutIsNoEnd() throws {
    let pair = try TLSPair().connect()
    #expect(pass([1], from: pair.server, to: pair.client) == [1])
    pair.serverTap.close()
    var buffer = [UInt8](repeating: 0, count: 10)
    for _ in 0..<2 {
      guard case .failed(let error) = buffer.withUnsafeMutableBytes({ pair.client.read(into: $0) }) else {
        return _ = Issue.record("no failure")
      }
      #expect(error.code == .truncated)
      #expect(
        error.text
          == "the TLS connection with good.example was cut: it ended without close_notify; what came last may be missing")
    }
    guard case .failed = [1].withUnsafeBytes({ pair.client.write($0) }) else { return _ = Issue.record("it writes") }
    #expect(!pair.client.hasBufferedInput)
    pair.client.shutdown()
  }

  @Test func aCutInTheHandshake() throws {
    let pair = try TLSPair()
    _ = pair.client.handshake()
    #expect(pair.client.needsReadable)
    pair.serverTap.close()
    guard case .failed(let error) = pair.client.handshake() else { return _ = Issue.record("no failure") }
    // A socket closed with bytes unread resets.
    #expect(error.code == .eof || error.code == .reset)
    #expect(ERR_peek_error() == 0)
  }

  @Test func aServerWithoutTLSGetsAHint() throws {
    let pair = try TLSPair()
    _ = pair.client.handshake()
    #expect(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8).withUnsafeBytes { pair.serverTap.write($0) }.count != nil)
    guard case .failed(let error) = pair.client.handshake() else { return _ = Issue.record("no failure") }
    #expect(error.code == .tls)
    #expect(
      error.text == "the TLS handshake with good.example failed: wrong version number (does this port speak TLS?)")
    #expect(ERR_peek_error() == 0, "nothing is left for the next user of OpenSSL")
  }

  @Test func foreignErrorsInTheQueueDoNotMatter() throws {
    let pair = try TLSPair().connect()
    #expect(BIO_new_file("/no/such/file", "r") == nil)
    #expect(ERR_peek_error() != 0)
    var buffer = [UInt8](repeating: 0, count: 10)
    guard case .wouldBlock = buffer.withUnsafeMutableBytes({ pair.server.read(into: $0) }) else {
      return _ = Issue.record("it does not block")
    }
    #expect(pass([7], from: pair.client, to: pair.server) == [7])
  }

  @Test func oneReceiveServesManyRecords() throws {
    let pair = try TLSPair().connect()
    _ = pass([1], from: pair.server, to: pair.client)
    for value in 0..<50 {
      let record = [UInt8](repeating: UInt8(value), count: 100)
      #expect(record.withUnsafeBytes { pair.server.write($0) }.count == 100)
    }
    pair.clientTap.reads = 0
    var buffer = [UInt8](repeating: 0, count: 8000)
    #expect(buffer.withUnsafeMutableBytes { pair.client.read(into: $0) }.count == 5000)
    #expect(pair.clientTap.reads == 1)
    #expect(!pair.client.hasBufferedInput)
  }

  @Test func aSmallBufferLeavesInputThatTheDescriptorDoesNotShow() throws {
    let pair = try TLSPair().connect()
    _ = pass([1], from: pair.server, to: pair.client)
    for _ in 0..<2 { #expect(Array("0123456789".utf8).withUnsafeBytes { pair.server.write($0) }.count == 10) }
    var buffer = [UInt8](repeating: 0, count: 5)
    for round in 0..<4 {
      #expect(buffer.withUnsafeMutableBytes { pair.client.read(into: $0) }.count == 5)
      #expect(!awaitInput(pair.client.descriptor, for: 0))
      if round < 3 { #expect(pair.client.hasBufferedInput) }
    }
    guard case .wouldBlock = buffer.withUnsafeMutableBytes({ pair.client.read(into: $0) }) else {
      return _ = Issue.record("more than was sent")
    }
    #expect(!pair.client.hasBufferedInput)
  }

  @Test func aBlockedWriteGoesOnFromAnotherAddressAndLonger() throws {
    let pair = try TLSPair().connect()
    let whole = Array(Self.megabyte[0..<50_000])
    #expect(pair.client.committedBytes == 0)
    pair.clientTap.isBlocked = true
    guard case .wouldBlock = whole[0..<20_000].withUnsafeBytes({ pair.client.write($0) }) else {
      return _ = Issue.record("it does not block")
    }
    #expect(!pair.client.needsReadable)
    // The record is made, and goes out whatever becomes of its bytes here.
    #expect(pair.client.committedBytes == 1 << 14)
    pair.clientTap.isBlocked = false
    let moved = whole + []
    #expect(pass(moved, from: pair.client, to: pair.server) == whole)
    #expect(pair.client.committedBytes == 0)
  }

  @Test func aWriteThatIsCutShortIsCommittedToItsLastRecord() throws {
    let pair = try TLSPair().connect()
    // So much fits into the tap and no more: the first record passes.
    pair.clientTap.writesLeft = 1
    guard case .bytes(let count) = Self.megabyte[0..<50_000].withUnsafeBytes({ pair.client.write($0) }) else {
      return _ = Issue.record("nothing is written")
    }
    #expect(count == 1 << 14)
    #expect(pair.client.committedBytes == 1 << 14)
  }

  /// TLS through the TLS connection with a proxy.
  private func inside(_ outer: TLSPair) throws -> (client: TLSStream, server: TLSStream) {
    let certificates = try Certificates.shared.get()
    let client = try TLSContext(caFile: certificates.authority).makeStream(over: outer.client, host: "a.wild.example")
    let server = try TLSContext.server(
      certificateFile: certificates.certificate("good"), keyFile: certificates.key("good")
    ).makeServerStream(over: outer.server)
    var done = 0
    for _ in 0..<20_000 where done < 2 {
      done = 0
      if case .bytes = client.handshake() { done += 1 }
      if case .bytes = server.handshake() { done += 1 }
    }
    #expect(done == 2)
    return (client, server)
  }

  @Test(arguments: [Int.max, 1000, 1])
  func tlsOverTLS(_ portion: Int) throws {
    let outer = try TLSPair()
    for tap in [outer.clientTap, outer.serverTap] {
      tap.readPortion = portion
      tap.writePortion = portion == 1 ? 33 : portion
    }
    let inner = try inside(outer.connect())
    let text = portion == 1 ? Array(Self.megabyte[..<5000]) : Self.megabyte
    #expect(pass(text, from: inner.client, to: inner.server) == text)
    #expect(pass(text, from: inner.server, to: inner.client) == text)
    #expect(inner.client.descriptor == outer.clientTap.descriptor)
    #expect(!inner.client.needsReadable && !inner.client.needsWritable && !inner.client.hasBufferedInput)
  }

  @Test func tlsOverTLSTellsOfInputThatTheDescriptorDoesNotShow() throws {
    let outer = try TLSPair().connect()
    let inner = try inside(outer)
    _ = pass([1], from: inner.server, to: inner.client)
    // One receive takes all of it from the socket; most stays in the outer layer, then in the inner one.
    let text = Array(Self.megabyte[..<60_000])
    #expect(text.withUnsafeBytes { inner.server.write($0) }.count == text.count)
    var received: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1000)
    while received.count < text.count {
      guard let count = buffer.withUnsafeMutableBytes({ inner.client.read(into: $0) }).count else { break }
      received += buffer[..<count]
      let isThereMore = inner.client.hasBufferedInput || awaitInput(inner.client.descriptor, for: 0)
      if received.count < text.count && !isThereMore { return _ = Issue.record("stuck after \(received.count)") }
    }
    #expect(received == text)
  }

  @Test func theEndsOfTLSOverTLS() throws {
    var buffer = [UInt8](repeating: 0, count: 10)
    let orderly = try inside(TLSPair().connect())
    orderly.server.shutdown()
    guard case .end = buffer.withUnsafeMutableBytes({ orderly.client.read(into: $0) }) else {
      return _ = Issue.record("no end")
    }
    // The outer end alone, though orderly, cuts what is inside.
    let outer = try TLSPair().connect()
    let cut = try inside(outer)
    outer.server.shutdown()
    guard case .failed(let error) = buffer.withUnsafeMutableBytes({ cut.client.read(into: $0) }) else {
      return _ = Issue.record("no failure")
    }
    #expect(error.code == .truncated)
  }

  @Test func afterCloseEverythingFails() throws {
    let pair = try TLSPair().connect()
    pair.client.close()
    pair.client.close()
    #expect(pair.client.descriptor == -1)
    var buffer = [UInt8](repeating: 0, count: 5)
    guard case .failed = buffer.withUnsafeMutableBytes({ pair.client.read(into: $0) }),
      case .failed = [1].withUnsafeBytes({ pair.client.write($0) }), case .failed = pair.client.handshake()
    else { return _ = Issue.record("it works") }
    pair.client.shutdown()
    #expect(!pair.client.hasBufferedInput)
  }

  @Test func beforeTheHandshakeNothingMoves() throws {
    let pair = try TLSPair()
    var buffer = [UInt8](repeating: 0, count: 5)
    guard case .wouldBlock = buffer.withUnsafeMutableBytes({ pair.client.read(into: $0) }),
      case .wouldBlock = [1].withUnsafeBytes({ pair.client.write($0) })
    else { return _ = Issue.record("it moves") }
    pair.client.shutdown()
  }

  @Test func garbageAfterTheHandshake() throws {
    let pair = try TLSPair().connect()
    _ = pass([1], from: pair.server, to: pair.client)
    #expect([UInt8](repeating: 0x41, count: 100).withUnsafeBytes { pair.serverTap.write($0) }.count == 100)
    var buffer = [UInt8](repeating: 0, count: 5)
    guard case .failed(let error) = buffer.withUnsafeMutableBytes({ pair.client.read(into: $0) }) else {
      return _ = Issue.record("no failure")
    }
    #expect(error.code == .tls)
    #expect(error.text.hasPrefix("the TLS connection with good.example failed: "))
  }
}

@Suite struct TLSContextTests {
  @Test func trustThatCannotBeLoaded() throws {
    let certificates = try Certificates.shared.get()
    for (path, words) in [
      ("/no/such/file.pem", ": no such file or directory"), (certificates.key("good"), ": no certificate"),
      ("", ": no such file or directory"), (certificates.folder, ": no certificate"),
    ] {
      do {
        _ = try TLSContext(caFile: path)
        Issue.record("\(path) is trusted")
      } catch {
        #expect(error.code == .trust)
        #expect(error.text.hasPrefix("can't load trusted certificates from \(path)"))
        #expect(error.text.contains(words), "\(error.text)")
      }
      #expect(ERR_peek_error() == 0)
    }
    #expect(throws: TransportError.self) {
      try TLSContext.server(certificateFile: certificates.certificate("good"), keyFile: certificates.key("ca"))
    }
    #expect(throws: TransportError.self) { try TLSContext.server(certificateFile: "/no/such", keyFile: "/no/such") }
  }

  @Test func theSystemsTrustLoads() throws {
    _ = try TLSContext()
    _ = try TLSContext(verify: false)
  }

  @Test func manyThreadsShareOne() throws {
    let certificates = try Certificates.shared.get()
    let context = try TLSContext(caFile: certificates.authority)
    let server = try TLSContext.server(
      certificateFile: certificates.certificate("good"), keyFile: certificates.key("good"))
    let good = Guarded(0)
    let threads = try (0..<4).map { _ in
      try Thread.start(name: "tls") {
        for _ in 0..<5 {
          var first: Int32 = -1
          var second: Int32 = -1
          guard psys_socket_pair(&first, &second) == 0 else { return }
          let a = context.makeStream(over: TCPStream(descriptor: first, peer: "a"), host: "good.example")
          let b = server.makeServerStream(over: TCPStream(descriptor: second, peer: "b"))
          var done = 0
          for _ in 0..<1000 where done < 2 {
            done = 0
            if case .bytes = a.handshake() { done += 1 }
            if case .bytes = b.handshake() { done += 1 }
          }
          if pass([1, 2], from: a, to: b) == [1, 2] { good.change { $0 += 1 } }
        }
      }
    }
    for thread in threads { thread.join() }
    #expect(good.value == 20)
  }
}

extension IOResult {
  /// The count of `.bytes`.
  var count: Int? { if case .bytes(let count) = self { count } else { nil } }
}
