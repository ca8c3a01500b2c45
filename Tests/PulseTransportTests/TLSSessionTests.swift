// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import CPulseSys
import Foundation
import Testing

@testable import PulseTransport

/// Sessions that are kept and resumed, and this side's certificate.
@Suite struct TLSSessionTests {
  private func client(verify: Bool = true, _ change: (TLSSettings) -> Void = { _ in }) throws -> TLSContext {
    let settings = TLSSettings(caFile: try Certificates.shared.get().authority, verify: verify)
    change(settings)
    return try TLSContext(settings)
  }

  private func server(_ name: String = "good") throws -> TLSContext {
    let certificates = try Certificates.shared.get()
    return try TLSContext.server(certificateFile: certificates.certificate(name), keyFile: certificates.key(name))
  }

  /// A connection on which the server has sent something, and so its tickets; whether it was resumed.
  @discardableResult
  private func connect(
    _ client: TLSContext, _ server: TLSContext, host: String = "good.example", serverName: String? = nil,
    shutsDown: Bool = false
  ) throws -> Bool {
    let pair = try TLSPair(host: host, context: client, serverContext: server, serverName: serverName).connect()
    #expect(pass([1], from: pair.server, to: pair.client) == [1])
    #expect(pair.client.handshakeTime > 0)
    if shutsDown { pair.client.shutdown() }
    pair.client.close()
    pair.server.close()
    return pair.client.isResumed
  }

  @Test func resumedAlsoAfterACut() throws {
    let (client, server) = (try client(), try server())
    #expect(try !connect(client, server))
    for round in 0..<5 { #expect(try connect(client, server, shutsDown: round % 2 == 0), "round \(round)") }
  }

  @Test func aTicketServesOnce() throws {
    let (client, server) = (try client(), try server())
    try connect(client, server)
    // OpenSSL's servers give two.
    #expect(client.sessionCount == 2)
    var pairs: [TLSPair] = []
    for expected in [true, true, false] {
      let pair = try TLSPair(context: client, serverContext: server).connect()
      #expect(pair.client.isResumed == expected)
      pairs.append(pair)
    }
    #expect(client.sessionCount == 0)
  }

  @Test func hostsPortsAndNamesAreApart() throws {
    let (client, server) = (try client(), try server())
    try connect(client, server)
    #expect(try !connect(client, server, host: "a.wild.example"))
    #expect(try !connect(client, server, host: "good.example", serverName: "b.wild.example"))
    #expect(try !connect(client, server, host: "b.wild.example"))
    #expect(try connect(client, server))
    let pair = try TLSPair(context: client, serverContext: server)
    let other = client.makeStream(over: pair.clientTap, host: "good.example", port: 8443)
    var done = 0
    for _ in 0..<1000 where done < 2 {
      done = 0
      if case .bytes = other.handshake() { done += 1 }
      if case .bytes = pair.server.handshake() { done += 1 }
    }
    #expect(done == 2 && !other.isResumed, "another port is another server")
  }

  @Test func settingsAreApart() throws {
    let server = try server()
    let pin = try Certificates.shared.get().pin("good")
    let contexts = [try client(), try client { $0.pins = pin }, try client(verify: false)]
    for context in contexts { #expect(try !connect(context, server)) }
    for context in contexts { #expect(try connect(context, server)) }
  }

  @Test func nothingIsKeptOfARefusedServer() throws {
    let server = try server()
    let client = try client { $0.pins = [UInt8](repeating: 1, count: 32) }
    let pair = try TLSPair(context: client, serverContext: server)
    #expect(pair.handshake()?.client?.code == .pin)
    var buffer = [UInt8](repeating: 0, count: 10)
    guard case .failed = buffer.withUnsafeMutableBytes({ pair.client.read(into: $0) }) else {
      return _ = Issue.record("it reads")
    }
    #expect(client.sessionCount == 0)
  }

  @Test func theOptionTurnsItOff() throws {
    let (client, server) = (try client { $0.resumes = false }, try server())
    for _ in 0..<3 { #expect(try !connect(client, server)) }
  }

  @Test func aServerThatForgotIsNoProblem() throws {
    let client = try client()
    try connect(client, server())
    #expect(try !connect(client, server()), "its ticket keys are new")
    // Another key behind the same name is verified anew.
    try connect(client, server())
    #expect(try TLSPair(context: client, serverContext: server("alone")).handshake()?.client?.code == .unknownCA)
  }

  @Test func theNumberIsBounded() throws {
    let (client, server) = (try client(), try server())
    for index in 0..<70 { try connect(client, server, host: "h\(index).wild.example") }
    #expect(client.sessionCount == 128)
    let cache = TLSSessionCache()
    let pair = try TLSPair(context: client, serverContext: server).connect()
    #expect(pass([1], from: pair.server, to: pair.client) == [1])
    let session = try #require(SSL_get_session(pair.client.handle))
    for _ in 0..<100 { cache.put([1], session) }
    #expect(cache.count == 32)
    for number in 2..<200 { cache.put([UInt8(number)], session) }
    #expect(cache.count == 128)
    #expect(cache.take([1]) == nil)
    let taken = cache.take([199])
    #expect(taken != nil && taken != session, "a copy")
    SSL_SESSION_free(taken)
    #expect(cache.count == 127)
  }

  @Test func anOldSessionIsNotUsed() throws {
    let (client, server) = (try client(), try server())
    let pair = try TLSPair(context: client, serverContext: server).connect()
    #expect(pass([1], from: pair.server, to: pair.client) == [1])
    let session = try #require(SSL_SESSION_dup(SSL_get_session(pair.client.handle)))
    defer { SSL_SESSION_free(session) }
    #expect(psys_tls_session_is_usable(session) == 1)
    let now = SSL_SESSION_get_time(session)
    for time in [now - SSL_SESSION_get_timeout(session) - 1, now + 1000] {
      _ = SSL_SESSION_set_time(session, time)
      #expect(psys_tls_session_is_usable(session) == 0)
    }
    // Its server's certificate has expired since.
    let lax = try self.client(verify: false)
    try connect(lax, self.server("expired"))
    #expect(lax.sessionCount == 0)
  }

  @Test func threadsShareTheSessions() throws {
    let (client, server) = (try client(), try server())
    let resumed = Guarded(0)
    let threads = try (0..<4).map { _ in
      try Thread.start(name: "tls") {
        for _ in 0..<20 where (try? self.connect(client, server)) == true { resumed.change { $0 += 1 } }
      }
    }
    for thread in threads { thread.join() }
    #expect(resumed.value >= 70, "all but the first ones")
  }

  // MARK: This side's certificate

  private func problem(_ certificate: String, _ key: String?, _ password: String? = nil) throws -> TransportError? {
    do {
      _ = try client {
        $0.certificateFile = certificate
        $0.keyFile = key
        $0.keyPassword = password
      }
      return nil
    } catch let error as TransportError {
      #expect(ERR_peek_error() == 0)
      return error
    }
  }

  @Test func certificatesThatCannotBeShown() throws {
    let certificates = try Certificates.shared.get()
    let (good, key, locked) = (certificates.certificate("good"), certificates.key("good"), certificates.key("locked"))
    #expect(try problem(good, key) == nil)
    #expect(try problem(good, locked, "secret") == nil)
    #expect(try problem(good, key, "not needed") == nil)
    let both = certificates.folder + "/both.pem"
    try (String(contentsOfFile: good, encoding: .utf8) + String(contentsOfFile: key, encoding: .utf8)).write(
      toFile: both, atomically: true, encoding: .utf8)
    #expect(try problem(both, nil) == nil)
    for (certificate, key, password, text) in [
      ("/no/such.pem", key, nil, "can't load client_certificate /no/such.pem: no such file or directory"),
      (key, key, nil, "can't load client_certificate \(key): it holds nothing of that kind in PEM"),
      (good, "/no/such.key", nil, "can't load client_key /no/such.key: no such file or directory"),
      (good, nil, nil, "can't load the key, without client_key, from client_certificate \(good): it holds nothing of that kind in PEM"),
      (good, locked, nil, "can't load client_key \(locked): it is encrypted, and client_key_password is not set"),
      (good, locked, "wrong", "can't load client_key \(locked): client_key_password is not its password"),
      (
        good, certificates.key("ca"), nil,
        "can't load client_key \(certificates.key("ca")): it is not the key of client_certificate"
      ),
    ] as [(String, String?, String?, String)] {
      let error = try problem(certificate, key, password)
      #expect(error?.code == .trust)
      #expect(error?.text.hasPrefix(text) == true, "\(error?.text ?? "it loads")")
      #expect(error?.text.contains("secret") != true && error?.text.contains("wrong") != true)
    }
  }
}
