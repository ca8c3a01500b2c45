// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import CPulseSys
import PulseText

/// Trust, versions, keys and sessions that TLS streams share. Any thread, any number of streams; a stream keeps what it
/// needs of it alive.
package final class TLSContext: @unchecked Sendable {  // immutable after init, and OpenSSL counts references itself
  private let handle: OpaquePointer
  /// Of a client.
  private let rules: TLSRules?

  /// The most that one receive call takes from below: a full record and its header is 16,709 bytes, so three and more.
  static let readBuffer = 64 << 10

  /// For clients.
  package init(_ settings: TLSSettings) throws(TransportError) {
    let rules = TLSRules(settings)
    self.rules = rules
    handle = try Self.make(TLS_client_method())
    if SSL_CTX_set_alpn_protos(handle, Self.http11, UInt32(Self.http11.count)) != 0 {
      throw Self.failure(.tls, "can't set up TLS")
    }
    if settings.requires13 { psys_tls_require_13(handle) }
    psys_tls_keep_sessions(handle, settings.resumes ? 1 : 0)
    if let caFile = settings.caFile {
      try Self.trust(handle, file: caFile)
    } else if settings.verifies {
      rules.hasTrust = try Self.trustSystem(handle)
    }
    if let file = settings.certificateFile {
      try Self.show(handle, file, key: settings.keyFile ?? file, settings)
    }
  }

  /// For clients that show no certificate.
  package convenience init(caFile: String? = nil, verify: Bool = true) throws(TransportError) {
    try self.init(TLSSettings(caFile: caFile, verify: verify))
  }

  /// For servers.
  /// - Parameters:
  ///   - certificateFile: PEM, the server's certificate first, then those between it and the root.
  ///   - keyFile: PEM, without a password.
  package static func server(certificateFile: String, keyFile: String) throws(TransportError) -> TLSContext {
    try TLSContext(certificateFile: certificateFile, keyFile: keyFile)
  }

  private init(certificateFile: String, keyFile: String) throws(TransportError) {
    rules = nil
    handle = try Self.make(TLS_server_method())
    psys_tls_select_http11(handle)
    if SSL_CTX_use_certificate_chain_file(handle, certificateFile.cString) != 1 {
      throw Self.failure(.trust, "can't load the certificate \(certificateFile)")
    }
    if SSL_CTX_use_PrivateKey_file(handle, keyFile.cString, SSL_FILETYPE_PEM) != 1 {
      throw Self.failure(.trust, "can't load the key \(keyFile)")
    }
  }

  deinit { SSL_CTX_free(handle) }

  /// A client's stream to `host` (a name, or an IP literal without brackets).
  /// - Parameters:
  ///   - port: tells servers of one host apart whose sessions are kept.
  ///   - serverName: what to ask for, and what the certificate must be for, in place of `host`.
  package func makeStream(
    over lower: ByteStream, host: String, port: UInt16 = 443, serverName: String? = nil
  ) -> TLSStream {
    guard let rules else { return makeServerStream(over: lower) }
    let target = TLSTarget(host: host, port: port, name: serverName ?? host, rules: rules)
    return TLSStream(context: handle, over: lower, role: .client(target))
  }

  package func makeServerStream(over lower: ByteStream) -> TLSStream {
    TLSStream(context: handle, over: lower, role: .server)
  }

  /// For tests.
  var sessionCount: Int { rules?.sessions?.count ?? 0 }
}

/// What the streams of a client's context hold on to.
final class TLSRules: @unchecked Sendable {  // immutable once the context is made; the cache locks
  let verifies: Bool
  let requires13: Bool
  let pins: [UInt8]
  let sessions: TLSSessionCache?
  /// There are certificates to verify against.
  fileprivate(set) var hasTrust = true

  init(_ settings: TLSSettings) {
    verifies = settings.verifies
    requires13 = settings.requires13
    pins = settings.pins
    sessions = settings.resumes ? TLSSessionCache() : nil
  }
}

/// Where a client's stream leads.
struct TLSTarget {
  let host: String
  let port: UInt16
  /// For SNI and the check of the certificate.
  let name: String
  let rules: TLSRules

  /// Of its sessions: no byte of a host name is zero.
  var sessionKey: [UInt8] {
    var key = [UInt8(truncatingIfNeeded: port >> 8), UInt8(truncatingIfNeeded: port)]
    key.append(contentsOf: host.bytes)
    key.append(0)
    key.append(contentsOf: name.bytes)
    return key
  }
}

// MARK: - Set-up

extension TLSContext {
  /// RFC 7301 §3.1: each name behind its length.
  private static let http11: [UInt8] = [8] + "http/1.1".bytes

  private static func make(_ method: OpaquePointer?) throws(TransportError) -> OpaquePointer {
    guard TLSStream.isReady else { throw failure(.tls, "can't start OpenSSL") }
    ERR_clear_error()
    guard let made = SSL_CTX_new(method) else { throw failure(.tls, "can't set up TLS") }
    psys_tls_context_defaults(made, readBuffer)
    return made
  }

  private static func trust(_ context: OpaquePointer, file: String) throws(TransportError) {
    if SSL_CTX_load_verify_locations(context, file.cString, nil) != 1 {
      throw failure(.trust, "can't load trusted certificates from \(file)")
    }
    psys_tls_trust_each(context)
  }

  /// False if there is nothing to trust. That is no reason to fail here: the handshake says which certificate it
  /// misses.
  private static func trustSystem(_ context: OpaquePointer) throws(TransportError) -> Bool {
    let found = psys_tls_trust_system(context)
    if found < 0 { throw failure(.trust, "can't load the system's trusted certificates") }
    ERR_clear_error()
    return found > 0
  }

  private static func show(
    _ context: OpaquePointer, _ file: String, key: String, _ settings: TLSSettings
  ) throws(TransportError) {
    if let why = psys_tls_use_certificate(context, file.cString) {
      throw failure(.trust, "can't load client_certificate \(file)", why)
    }
    if let why = psys_tls_use_key(context, key.cString, (settings.keyPassword ?? "").cString) {
      let option: Literal = settings.keyFile == nil ? "the key, without client_key, from client_certificate" : "client_key"
      throw failure(.trust, "can't load \(option) \(key)", why)
    }
  }

  /// `why` in place of OpenSSL's words, unless it is empty.
  private static func failure(
    _ code: TransportErrorCode, _ action: Sentence, _ why: UnsafePointer<CChar>
  ) -> TransportError {
    if why.pointee == 0 { return failure(code, action) }
    ERR_clear_error()
    return TransportError(code, "\(action): \(String(cText: why))")
  }

  private static func failure(_ code: TransportErrorCode, _ action: Sentence) -> TransportError {
    let (_, reason) = TLSStream.takeError()
    return TransportError(code, reason.isEmpty ? action : "\(action): \(lowercasingFirst(reason))")
  }
}
