// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import CPulseSys
import PulseText

/// Trust, versions and keys that TLS streams share. Any thread, any number of streams; a stream keeps what it needs of
/// it alive.
package final class TLSContext: @unchecked Sendable {  // immutable after init, and OpenSSL counts references itself
  private let handle: OpaquePointer
  private let verifies: Bool

  /// The most that one receive call takes from below: a full record and its header is 16,709 bytes, so three and more.
  static let readBuffer = 64 << 10

  /// For clients.
  /// - Parameters:
  ///   - caFile: PEM certificates to trust in place of the system's.
  ///   - verify: false accepts any certificate for any host.
  package init(caFile: String? = nil, verify: Bool = true) throws(TransportError) {
    handle = try Self.make(TLS_client_method())
    verifies = verify
    if SSL_CTX_set_alpn_protos(handle, Self.http11, UInt32(Self.http11.count)) != 0 {
      throw Self.failure(.tls, "can't set up TLS")
    }
    if let caFile {
      try Self.trust(handle, file: caFile)
    } else if verify {
      try Self.trustSystem(handle)
    }
  }

  /// For servers.
  /// - Parameters:
  ///   - certificateFile: PEM, the server's certificate first, then those between it and the root.
  ///   - keyFile: PEM, without a password.
  package static func server(certificateFile: String, keyFile: String) throws(TransportError) -> TLSContext {
    try TLSContext(certificateFile: certificateFile, keyFile: keyFile)
  }

  private init(certificateFile: String, keyFile: String) throws(TransportError) {
    handle = try Self.make(TLS_server_method())
    verifies = false
    psys_tls_select_http11(handle)
    if SSL_CTX_use_certificate_chain_file(handle, certificateFile) != 1 {
      throw Self.failure(.trust, "can't load the certificate \(certificateFile)")
    }
    if SSL_CTX_use_PrivateKey_file(handle, keyFile, SSL_FILETYPE_PEM) != 1 {
      throw Self.failure(.trust, "can't load the key \(keyFile)")
    }
  }

  deinit { SSL_CTX_free(handle) }

  /// A client's stream to `host` (a name, or an IP literal without brackets), which the certificate must be for.
  package func makeStream(over lower: ByteStream, host: String) -> TLSStream {
    TLSStream(context: handle, over: lower, role: .client(host: host, verify: verifies))
  }

  package func makeServerStream(over lower: ByteStream) -> TLSStream {
    TLSStream(context: handle, over: lower, role: .server)
  }
}

// MARK: - Set-up

extension TLSContext {
  /// RFC 7301 §3.1: each name behind its length.
  private static let http11: [UInt8] = [8] + Array("http/1.1".utf8)

  private static func make(_ method: OpaquePointer?) throws(TransportError) -> OpaquePointer {
    guard TLSStream.isReady else { throw failure(.tls, "can't start OpenSSL") }
    ERR_clear_error()
    guard let made = SSL_CTX_new(method) else { throw failure(.tls, "can't set up TLS") }
    psys_tls_context_defaults(made, readBuffer)
    return made
  }

  private static func trust(_ context: OpaquePointer, file: String) throws(TransportError) {
    if SSL_CTX_load_verify_locations(context, file, nil) != 1 {
      throw failure(.trust, "can't load trusted certificates from \(file)")
    }
  }

  private static func trustSystem(_ context: OpaquePointer) throws(TransportError) {
    if SSL_CTX_set_default_verify_paths(context) != 1 {
      throw failure(.trust, "can't load the system's trusted certificates")
    }
    ERR_clear_error()
    if psys_tls_has_default_trust() != 0 { return }
    // An OpenSSL that was not built for this system looks in a place of its own where there is nothing.
    let bundles: [StaticString] = [
      "/etc/ssl/certs/ca-certificates.crt",  // Debian, Alpine, Arch
      "/etc/pki/tls/certs/ca-bundle.crt",  // Red Hat
      "/etc/ssl/ca-bundle.pem",  // SUSE
      "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
      "/etc/ssl/cert.pem",
    ]
    for bundle in bundles {
      let path = bundle.description
      if psys_readable_path(path) != 0, SSL_CTX_load_verify_locations(context, path, nil) == 1 { return }
      ERR_clear_error()
    }
    // No trust at all is no reason to fail here: the handshake says which certificate it misses.
  }

  private static func failure(_ code: TransportErrorCode, _ action: Sentence) -> TransportError {
    let (_, reason) = TLSStream.takeError()
    return TransportError(code, reason.isEmpty ? action : "\(action): \(lowercasingFirst(reason))")
  }
}
