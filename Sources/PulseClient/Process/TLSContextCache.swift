// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import PulseText
import PulseTransport

/// Loading certificates takes milliseconds and up to a megabyte, and a session can be resumed only where it was kept:
/// clients with equal settings share a context, as long as the files are the same.
enum TLSContextCache {
  /// A process that uses more settings than these at once loads some again.
  private static let most = 16

  private final class Entry {
    let key: [UInt8]
    let context: TLSContext
    /// One used before it.
    var next: Entry?

    init(_ key: [UInt8], _ context: TLSContext) {
      self.key = key
      self.context = context
    }
  }

  private final class Shared: ForkState, @unchecked Sendable {  // guarded by `mutex`
    var latest: Entry?
  }

  private static let local = ForkLocal<Shared>()

  static func context(caFile: String?, verify: Bool) throws(TransportError) -> TLSContext {
    try context(TLSSettings(caFile: caFile, verify: verify))
  }

  static func context(_ settings: TLSSettings) throws(TransportError) -> TLSContext {
    let key = key(settings)
    let shared = local.locked()
    defer { shared.mutex.unlock() }
    var before: Entry?
    var entry = shared.latest
    var count = 0
    while let found = entry {
      count += 1
      if found.key == key {
        if let before {
          before.next = found.next
          found.next = shared.latest
          shared.latest = found
        }
        return found.context
      }
      // The one that was not used for the longest time makes room.
      if count == most { before?.next = nil }
      before = found
      entry = found.next
    }
    let made = Entry(key, try TLSContext(settings))
    made.next = shared.latest
    shared.latest = made
    return made.context
  }

  /// Everything that makes a difference, and what tells whether the files are still those that were loaded.
  private static func key(_ settings: TLSSettings) -> [UInt8] {
    var key = settings.pins
    // No byte of a text is zero.
    key.append(0)
    key.append((settings.verifies ? 1 : 0) | (settings.requires13 ? 2 : 0) | (settings.resumes ? 4 : 0))
    add(settings.keyPassword, isFile: false, to: &key)
    add(settings.caFile ?? String(cText: psys_tls_default_file()), isFile: true, to: &key)
    add(settings.caFile ?? String(cText: psys_tls_default_folder()), isFile: true, to: &key)
    add(settings.certificateFile, isFile: true, to: &key)
    add(settings.keyFile, isFile: true, to: &key)
    return key
  }

  @inline(never)
  private static func add(_ text: String?, isFile: Bool, to key: inout [UInt8]) {
    key.append(text == nil ? 0 : 1)
    guard let text else { return }
    key.append(contentsOf: text.bytes)
    key.append(0)
    if !isFile { return }
    let path = text.cString
    var identity = [UInt8](repeating: 0, count: 32)
    identity.withUnsafeMutableBytes { bytes in
      if let numbers = bytes.baseAddress { psys_file_identity(path, numbers) }
    }
    key.append(contentsOf: identity)
  }
}

extension ClientOptions {
  var tlsSettings: TLSSettings {
    let settings = TLSSettings(caFile: caFile, verify: verify)
    settings.certificateFile = clientCertificate
    settings.keyFile = clientKey
    settings.keyPassword = clientKeyPassword
    for pin in pins { settings.pins.append(contentsOf: pin) }
    settings.requires13 = tlsMinVersion == .v1_3
    settings.resumes = tlsResumption
    return settings
  }
}
