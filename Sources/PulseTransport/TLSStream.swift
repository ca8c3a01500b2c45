// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import CPulseSys
import PulseText

/// TLS over another stream. OpenSSL reaches that stream through a BIO, so that it can be anything: TCP, a proxy, TLS.
package final class TLSStream: ByteStream, @unchecked Sendable {  // guarded by the owner, who serialises the calls
  enum Role {
    case client(host: String, verify: Bool)
    case server
  }
  private enum State {
    case handshaking
    case open
    /// close_notify has arrived.
    case ended
    case failed(TransportError)
  }

  private var ssl: OpaquePointer?
  private let lower: ByteStream
  /// What error sentences call the other side.
  private let peer: String
  private var state = State.handshaking
  private var waitsForReadable = false
  private var waitsForWritable = false
  /// The last read used up what had arrived.
  private var isDry = true
  /// A read has returned the end or failure that `state` holds.
  private var isEndTold = false

  // What the BIO saw in the call that is under way.
  private var lowerIsEmpty = false
  private var lowerFailure: TransportError?

  init(context: OpaquePointer, over lower: ByteStream, role: Role) {
    self.lower = lower
    peer = if case .client(let host, _) = role { host } else { "the client" }
    super.init()
    prepare(context, role)
  }

  deinit { if let ssl { SSL_free(ssl) } }

  private func prepare(_ context: OpaquePointer, _ role: Role) {
    ERR_clear_error()
    guard let made = SSL_new(context) else { return fail(.memory, "no memory for a TLS connection") }
    guard let bio = psys_tls_bio(Unmanaged.passUnretained(self).toOpaque()) else {
      SSL_free(made)
      return fail(.memory, "no memory for a TLS connection")
    }
    // One BIO for both directions: the SSL takes over one reference in all.
    SSL_set_bio(made, bio, bio)
    ssl = made
    switch role {
    case .server: SSL_set_accept_state(made)
    case .client(let host, let verify): prepareClient(made, host, verify)
    }
  }

  private func prepareClient(_ ssl: OpaquePointer, _ host: String, _ verify: Bool) {
    SSL_set_connect_state(ssl)
    // A name may end with the dot of the root; certificates and SNI have none (RFC 6066 §3).
    let name = host.utf8.last == 46 ? String(decoding: host.utf8.dropLast(), as: UTF8.self) : host
    let isLiteral = AddressResolver.literal(name, port: 0) != nil
    var fine = true
    // RFC 6066 §3: literal addresses are not permitted in SNI.
    if !isLiteral { fine = psys_tls_set_server_name(ssl, name) != 0 }
    if verify {
      psys_tls_verify_peer(ssl)
      fine = fine && psys_tls_require_host(ssl, name, isLiteral ? 1 : 0) != 0
    }
    if !fine { fail(.hostname, "can't ask for a certificate of \(name): it is not a host name that TLS can check") }
  }

  // MARK: ByteStream

  package override var descriptor: Int32 { lower.descriptor }
  package override var needsReadable: Bool { waitsForReadable }
  package override var needsWritable: Bool { waitsForWritable || lower.needsWritable }
  package override var hasBufferedInput: Bool {
    switch state {
    case .open: if let ssl, !isDry { SSL_has_pending(ssl) == 1 } else { false }
    case .ended, .failed: !isEndTold
    case .handshaking: false
    }
  }

  package override func handshake() -> IOResult {
    guard let ssl = begin(), case .handshaking = state else { return standing(or: .bytes(0)) }
    waitsForReadable = false
    waitsForWritable = false
    let status = SSL_do_handshake(ssl)
    if status == 1 {
      state = .open
      isDry = false
      return .bytes(0)
    }
    let result = judge(ssl, status, reading: true)
    if case .wouldBlock = result { waitsForReadable = !waitsForWritable }
    return result
  }

  package override func read(into buffer: UnsafeMutableRawBufferPointer) -> IOResult {
    guard let ssl = begin(), case .open = state else { return tellEnd() }
    waitsForWritable = false
    guard let start = buffer.baseAddress, buffer.count > 0 else { return .bytes(0) }
    var total = 0
    while total < buffer.count {
      var count = 0
      let status = SSL_read_ex(ssl, start + total, buffer.count &- total, &count)
      if status == 1 {
        total &+= count
        isDry = false
        continue
      }
      let result = judge(ssl, 0, reading: true)
      // The end or failure stays in `state` for the next call; what came before it goes first.
      if total > 0 { return .bytes(total) }
      if case .wouldBlock = result { return result }
      return tellEnd()
    }
    return .bytes(total)
  }

  private func tellEnd() -> IOResult {
    if case .handshaking = state {} else { isEndTold = true }
    return standing(or: .wouldBlock)
  }

  package override func write(_ bytes: UnsafeRawBufferPointer) -> IOResult {
    guard let ssl = begin() else { return standing(or: .wouldBlock) }
    switch state {
    case .open, .ended: break  // the peer's close_notify ends its direction only (RFC 8446 §6.1)
    case .handshaking, .failed: return standing(or: .wouldBlock)
    }
    waitsForReadable = false
    guard let start = bytes.baseAddress, bytes.count > 0 else { return .bytes(0) }
    var total = 0
    while total < bytes.count {
      var count = 0
      let status = SSL_write_ex(ssl, start + total, bytes.count &- total, &count)
      if status == 1 {
        total &+= count
        continue
      }
      let result = judge(ssl, 0, reading: false)
      return total > 0 ? .bytes(total) : result
    }
    return .bytes(total)
  }

  package override func shutdown() {
    guard let ssl = begin() else { return }
    switch state {
    case .open, .ended:
      if SSL_shutdown(ssl) < 0 { ERR_clear_error() }
    case .handshaking, .failed: break
    }
  }

  package override func close() {
    if let ssl { SSL_free(ssl) }
    ssl = nil
    if case .failed = state {} else { fail(.io, "the TLS connection to \(peer) is closed") }
    waitsForReadable = false
    waitsForWritable = false
    lower.close()
  }
}

// MARK: - What was negotiated

extension TLSStream {
  /// "TLSv1.3"; empty before the handshake.
  package var version: String {
    guard let ssl, case .open = state, let name = SSL_get_version(ssl) else { return "" }
    return String(cString: name)
  }

  /// What ALPN chose; empty if nothing.
  package var applicationProtocol: String {
    guard let ssl else { return "" }
    var name: UnsafePointer<UInt8>?
    var length: UInt32 = 0
    SSL_get0_alpn_selected(ssl, &name, &length)
    return String(decoding: UnsafeBufferPointer(start: name, count: Int(length)), as: UTF8.self)
  }

  /// The name that the client asked for (SNI); empty if none.
  package var requestedServerName: String {
    guard let ssl, let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) else { return "" }
    return String(cString: name)
  }
}

// MARK: - OpenSSL's answers

extension TLSStream {
  /// Before each call: an error that another user of OpenSSL left in this thread's queue would be taken for ours.
  @inline(__always)
  private func begin() -> OpaquePointer? {
    if ERR_peek_error() != 0 { ERR_clear_error() }
    lowerIsEmpty = false
    return ssl
  }

  private func fail(_ code: TransportErrorCode, _ text: Sentence) { state = .failed(TransportError(code, text)) }

  private func standing(or other: IOResult) -> IOResult {
    switch state {
    case .failed(let error): .failed(error)
    case .ended: .end
    case .handshaking, .open: other
    }
  }

  private func judge(_ ssl: OpaquePointer, _ status: Int32, reading: Bool) -> IOResult {
    let wasHandshaking = if case .handshaking = state { true } else { false }
    switch SSL_get_error(ssl, status) {
    case SSL_ERROR_WANT_READ:
      if reading { isDry = true } else { waitsForReadable = true }
      return .wouldBlock
    case SSL_ERROR_WANT_WRITE:
      if reading {
        waitsForWritable = true
        isDry = false
      }
      return .wouldBlock
    case SSL_ERROR_ZERO_RETURN:
      if wasHandshaking {
        fail(.eof, "\(peer) closed the connection during the TLS handshake")
      } else {
        state = .ended
      }
    case SSL_ERROR_SYSCALL:
      ERR_clear_error()
      if let lowerFailure {
        state = .failed(lowerFailure)
      } else {
        failAtEOF(wasHandshaking)
      }
    default:
      let (reason, text) = Self.takeError()
      if psys_tls_is_unexpected_eof(reason) != 0 {
        failAtEOF(wasHandshaking)
      } else if wasHandshaking {
        failHandshake(ssl, reason, text)
      } else {
        fail(.tls, "the TLS connection with \(peer) failed: \(text)")
      }
    }
    return standing(or: .wouldBlock)
  }

  private func failAtEOF(_ wasHandshaking: Bool) {
    // RFC 8446 §6.1: without close_notify nobody knows whether something was cut off.
    fail(
      .eof,
      wasHandshaking
        ? "\(peer) ended the connection during the TLS handshake"
        : "the TLS connection with \(peer) was cut: it ended without close_notify")
  }

  private func failHandshake(_ ssl: OpaquePointer, _ reason: Int32, _ text: String) {
    let verdict = SSL_get_verify_result(ssl)
    // The reason alone does not tell: a CA with the right name and another key fails in the signature's arithmetic.
    if verdict != Int(X509_V_OK), SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER != 0 {
      switch Int32(truncatingIfNeeded: verdict) {
      case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
        var buffer = [CChar](repeating: 0, count: 256)
        buffer.withUnsafeMutableBufferPointer { bytes in
          if let start = bytes.baseAddress { psys_tls_refused_names(ssl, start, bytes.count) }
        }
        let names = PulseTransport.text(of: buffer)
        var why: Sentence = "the certificate is not for \(peer)"
        if !names.isEmpty { why.add(", but for \(names)") }
        return fail(.hostname, why)
      default:
        let why = String(cString: X509_verify_cert_error_string(verdict))
        return fail(.certificate, "the certificate of \(peer) does not verify: \(why)")
      }
    }
    let hint = reason == SSL_R_WRONG_VERSION_NUMBER ? " (does this port speak TLS?)" : ""
    fail(.tls, "the TLS handshake with \(peer) failed: \(text)\(hint)")
  }

  /// The oldest error of this thread's queue, which is the cause of the others; empties the queue.
  static func takeError() -> (reason: Int32, text: String) {
    var buffer = [CChar](repeating: 0, count: 200)
    var reason: Int32 = 0
    buffer.withUnsafeMutableBufferPointer { bytes in
      if let start = bytes.baseAddress { reason = psys_tls_take_error(start, bytes.count) }
    }
    return (reason, PulseTransport.text(of: buffer))
  }
}

// MARK: - The BIO

extension TLSStream {
  /// OpenSSL is prepared once, by whoever comes first.
  static let isReady: Bool =
    psys_tls_initialise(
      { owner, bytes, count in
        Unmanaged<TLSStream>.fromOpaque(owner).takeUnretainedValue().pull(bytes, Int(count))
      },
      { owner, bytes, count in
        Unmanaged<TLSStream>.fromOpaque(owner).takeUnretainedValue().push(bytes, Int(count))
      }) != 0

  private func pull(_ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int32 {
    // After a short read the socket is empty: the epoll tells when there is more, a second system call need not.
    if lowerIsEmpty { return Int32(PSYS_TLS_RETRY) }
    switch lower.read(into: UnsafeMutableRawBufferPointer(start: bytes, count: count)) {
    case .bytes(let got):
      if got < count { lowerIsEmpty = true }
      return Int32(truncatingIfNeeded: got)
    case .wouldBlock:
      lowerIsEmpty = true
      return Int32(PSYS_TLS_RETRY)
    case .end: return 0
    case .failed(let error):
      lowerFailure = error
      return Int32(PSYS_TLS_FAILED)
    }
  }

  private func push(_ bytes: UnsafeRawPointer, _ count: Int) -> Int32 {
    switch lower.write(UnsafeRawBufferPointer(start: bytes, count: count)) {
    case .bytes(let sent): return Int32(truncatingIfNeeded: sent)
    case .wouldBlock: return Int32(PSYS_TLS_RETRY)
    case .end: return Int32(PSYS_TLS_FAILED)
    case .failed(let error):
      lowerFailure = error
      return Int32(PSYS_TLS_FAILED)
    }
  }
}
