// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import CPulseSys

/// Sessions to resume. It belongs to one context, so that no session outlives the checks that its first handshake
/// passed: trust, pins and client certificate are the context's; host, port and server name are in the key.
final class TLSSessionCache: @unchecked Sendable {  // guarded by `mutex`
  /// Of one key: as many clients may connect to a host at once, each with a session of its own (RFC 8446 §C.4).
  private static let mostOfOne = 32
  private static let most = 128

  private final class Entry {
    let key: [UInt8]
    let session: OpaquePointer
    /// An older one.
    var next: Entry?

    init(_ key: [UInt8], _ session: OpaquePointer) {
      self.key = key
      self.session = session
    }
  }

  private let mutex = Mutex()
  private var newest: Entry?
  private(set) var count = 0

  deinit {
    while let entry = newest {
      SSL_SESSION_free(entry.session)
      newest = entry.next
    }
  }

  /// The newest that can be used, which is the caller's from now on.
  func take(_ key: [UInt8]) -> OpaquePointer? {
    mutex.lock()
    defer { mutex.unlock() }
    var before: Entry?
    var entry = newest
    while let found = entry {
      entry = found.next
      if found.key != key {
        before = found
        continue
      }
      unlink(found, after: before)
      if psys_tls_session_is_usable(found.session) != 0 { return found.session }
      SSL_SESSION_free(found.session)
    }
    return nil
  }

  /// Keeps a copy: OpenSSL marks the original as bad when its connection is lost, which is when it is wanted.
  func put(_ key: [UInt8], _ original: OpaquePointer) {
    guard psys_tls_session_is_usable(original) != 0, let session = SSL_SESSION_dup(original) else { return }
    let made = Entry(key, session)
    mutex.lock()
    defer { mutex.unlock() }
    made.next = newest
    newest = made
    count &+= 1
    var ofThis = 1
    var inAll = 1
    var before = made
    // The oldest of its key, or of all, makes room.
    while let entry = before.next {
      inAll &+= 1
      if entry.key == key { ofThis &+= 1 }
      if inAll > Self.most || ofThis > Self.mostOfOne {
        unlink(entry, after: before)
        SSL_SESSION_free(entry.session)
        return
      }
      before = entry
    }
  }

  private func unlink(_ entry: Entry, after before: Entry?) {
    if let before { before.next = entry.next } else { newest = entry.next }
    count &-= 1
  }
}
