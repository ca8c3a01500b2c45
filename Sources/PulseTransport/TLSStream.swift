// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import CPulseSys
import PulseText

/// TLS over another stream. OpenSSL reaches that stream through a BIO, so that it can be anything: TCP, a proxy, TLS.
package final class TLSStream: ByteStream, @unchecked Sendable {  // guarded by the owner, who serialises the calls
  enum Role {
    case client(TLSTarget)
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
  let peer: String
  /// Of a client.
  let target: TLSTarget?
  private var state = State.handshaking
  private var waitsForReadable = false
  private var waitsForWritable = false
  /// A record was made and not wholly written.
  private var recordIsPending = false
  /// RFC 8446 §5.1: no record holds more.
  private static let recordSize = 16 << 10
  /// The last read used up what had arrived.
  private var isDry = true
  /// A read has returned the end or failure that `state` holds.
  private var endIsGiven = false
  private var startedAt: Int64 = 0
  /// How long the handshake took (ns); 0 until it is done.
  package private(set) var handshakeTime: Int64 = 0
  /// The handshake resumed an earlier session.
  package private(set) var isResumed = false
  /// A session that came before the handshake had passed every check.
  private var earlySession: OpaquePointer?

  /// For the extensions; nil when the stream is closed.
  var handle: OpaquePointer? { ssl }
  /// Bytes flow in both directions.
  var isOpen: Bool { if case .open = state { true } else { false } }

  // What the BIO saw in the call that is under way.
  private var lowerIsEmpty = false
  private var lowerFailure: TransportError?

  init(context: OpaquePointer, over lower: ByteStream, role: Role) {
    self.lower = lower
    if case .client(let target) = role { self.target = target } else { target = nil }
    peer = target?.host ?? "the client"
    super.init()
    prepare(context)
  }

  deinit { release() }

  private func release() {
    if let ssl { SSL_free(ssl) }
    ssl = nil
    if let earlySession { SSL_SESSION_free(earlySession) }
    earlySession = nil
  }

  private func prepare(_ context: OpaquePointer) {
    ERR_clear_error()
    guard let made = SSL_new(context) else { return fail(.memory, "no memory for a TLS connection") }
    guard let bio = psys_tls_bio(Unmanaged.passUnretained(self).toOpaque()) else {
      SSL_free(made)
      return fail(.memory, "no memory for a TLS connection")
    }
    // One BIO for both directions: the SSL takes over one reference in all.
    SSL_set_bio(made, bio, bio)
    ssl = made
    if let target { prepareClient(made, target) } else { SSL_set_accept_state(made) }
  }

  private func prepareClient(_ ssl: OpaquePointer, _ target: TLSTarget) {
    SSL_set_connect_state(ssl)
    psys_tls_note_asking(ssl)
    // A name may end with the dot of the root; certificates and SNI have none (RFC 6066 §3).
    var bytes = target.name.bytes
    if bytes.last == UInt8(ascii: ".") { bytes.removeLast() }
    let name = String(bytes: bytes)
    let isLiteral = AddressResolver.literal(name, port: 0) != nil
    var fine = true
    // RFC 6066 §3: literal addresses are not permitted in SNI.
    if !isLiteral { fine = psys_tls_set_server_name(ssl, name.cString) != 0 }
    if target.rules.verifies {
      psys_tls_verify_peer(ssl)
      fine = fine && psys_tls_require_host(ssl, name.cString, isLiteral ? 1 : 0) != 0
    }
    if !fine {
      // What OpenSSL says to it must not be found by another user of this thread's queue.
      ERR_clear_error()
      return fail(.hostname, "can't ask for a certificate of \(target.name): it is not a host name that TLS can check")
    }
    if let session = target.rules.sessions?.take(target.sessionKey) {
      SSL_set_session(ssl, session)
      SSL_SESSION_free(session)  // the SSL has a reference of its own
    }
  }

  // MARK: ByteStream

  package override var descriptor: Int32 { lower.descriptor }
  package override var needsReadable: Bool { waitsForReadable || lower.needsReadable }
  package override var needsWritable: Bool { waitsForWritable || lower.needsWritable }
  package override var hasBufferedInput: Bool {
    switch state {
    case .open: if let ssl, !isDry { SSL_has_pending(ssl) == 1 || lower.hasBufferedInput } else { false }
    case .ended, .failed: !endIsGiven
    case .handshaking: false
    }
  }
  package override var committedBytes: Int { recordIsPending ? Self.recordSize : 0 }

  package override func handshake() -> IOResult {
    guard let ssl = begin(), case .handshaking = state else { return standing(or: .bytes(0)) }
    waitsForReadable = false
    waitsForWritable = false
    if startedAt == 0 { startedAt = Clock.monotonic() }
    let status = SSL_do_handshake(ssl)
    if status == 1 {
      handshakeTime = Clock.monotonic() &- startedAt
      isResumed = SSL_session_reused(ssl) == 1
      if let target, !acceptPeer(ssl, target) { return standing(or: .wouldBlock) }
      state = .open
      isDry = false
      if let target { keepSession(ssl, target) }
      return .bytes(0)
    }
    let result = judge(ssl, status, reading: true)
    if case .wouldBlock = result { waitsForReadable = !waitsForWritable }
    return result
  }

  package override func read(into buffer: UnsafeMutableRawBufferPointer) -> IOResult {
    guard let ssl = begin(), case .open = state else { return giveEnd() }
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
      return giveEnd()
    }
    return .bytes(total)
  }

  private func giveEnd() -> IOResult {
    if case .handshaking = state {} else { endIsGiven = true }
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
      if total > 0 {
        recordIsPending = true
        return .bytes(total)
      }
      if case .wouldBlock = result { recordIsPending = true }
      return result
    }
    recordIsPending = false
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
    release()
    if case .failed = state {} else { fail(.io, "the TLS connection to \(peer) is closed") }
    waitsForReadable = false
    waitsForWritable = false
    lower.close()
  }
}

// MARK: - Checks and sessions of a client

extension TLSStream {
  /// The pins. A resumed session stands for a handshake that passed them.
  private func acceptPeer(_ ssl: OpaquePointer, _ target: TLSTarget) -> Bool {
    if isResumed || target.rules.pins.isEmpty { return true }
    let rules = target.rules
    var seen = [CChar](repeating: 0, count: 1024)
    let isChain: Int32 = rules.verifies ? 1 : 0
    if psys_tls_has_pin(ssl, isChain, rules.pins, rules.pins.count / 32, &seen, seen.count) != 0 { return true }
    ERR_clear_error()
    fail(
      .pin,
      "no key of \(peer) is one of pin_sha256; seen: \(PulseTransport.text(of: seen)); the server has a new key, or "
        + "somebody listens in")
    return false
  }

  /// Called by OpenSSL with a session to keep: in the handshake of TLS 1.2, and after that of 1.3.
  private func sessionCame(_ session: OpaquePointer) {
    guard let ssl, let target, SSL_SESSION_up_ref(session) == 1 else { return }
    if let earlySession { SSL_SESSION_free(earlySession) }
    earlySession = session
    if case .open = state { keepSession(ssl, target) }
  }

  /// Once every check has passed. A session of TLS 1.3 serves once (RFC 8446 §C.4), one of 1.2 again and again.
  private func keepSession(_ ssl: OpaquePointer, _ target: TLSTarget) {
    guard let sessions = target.rules.sessions else { return }
    if let early = earlySession {
      sessions.put(target.sessionKey, early)
      SSL_SESSION_free(early)
      earlySession = nil
    } else if isResumed, let session = SSL_get_session(ssl), psys_tls_session_is_13(session) == 0 {
      sessions.put(target.sessionKey, session)
    }
  }
}

// MARK: - OpenSSL's answers

extension TLSStream {
  /// Before each call: an error that another user of OpenSSL left in this thread's queue would be taken for ours.
  @inline(__always)
  private func begin() -> OpaquePointer? {
    if ERR_peek_error() != 0 { ERR_clear_error() }
    lowerIsEmpty = false
    lowerFailure = nil
    return ssl
  }

  func fail(_ code: TransportErrorCode, _ text: Sentence) { state = .failed(TransportError(code, text)) }

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
      guard let lowerFailure else {
        failAtEOF(wasHandshaking)
        break
      }
      // Nothing can be written any more, but what has arrived may say why.
      if !reading { return .failed(lowerFailure) }
      state = .failed(lowerFailure)
    default:
      let (reason, text) = Self.takeError()
      if psys_tls_is_unexpected_eof(reason) != 0 {
        failAtEOF(wasHandshaking)
      } else {
        fail(ssl, reason, text, wasHandshaking)
      }
    }
    return standing(or: .wouldBlock)
  }

  private func failAtEOF(_ wasHandshaking: Bool) {
    if wasHandshaking { return fail(.eof, "\(peer) ended the connection during the TLS handshake\(askedHint)") }
    // RFC 8446 §6.1: without close_notify nobody knows whether something was cut off.
    fail(
      .truncated,
      "the TLS connection with \(peer) was cut: it ended without close_notify; what came last may be missing")
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
      },
      { owner, session in
        Unmanaged<TLSStream>.fromOpaque(owner).takeUnretainedValue().sessionCame(session)
      }) != 0

  private func pull(_ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int32 {
    // After a short read the socket is empty: the epoll tells when there is more, a second system call need not.
    if lowerIsEmpty { return Int32(PSYS_TLS_RETRY) }
    switch lower.read(into: UnsafeMutableRawBufferPointer(start: bytes, count: count)) {
    case .bytes(let got):
      // The end of a layer below, or bytes that it holds, have no event of their own.
      if got < count { lowerIsEmpty = !lower.hasBufferedInput }
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
