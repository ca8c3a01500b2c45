// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import CPulseSys
import Foundation
import Testing

@testable import PulseTransport

/// What a client refuses, and what it says then.
@Suite struct TLSVerificationTests {
  @Test(arguments: [
    (
      "early", TransportErrorCode.notYetValid,
      "a certificate of good.example is not valid yet: CN=early, issued by CN=ca, is valid from 2090-01-01T00:00:00Z on; "
        + "by this machine's clock it is "
    ),
    (
      "mail", .purpose,
      "a certificate of good.example is not meant for servers: CN=mail, issued by CN=ca; its extended key usage lacks "
        + "serverAuth"
    ),
    (
      "nameless", .hostname,
      "the certificate is not for good.example, but for no host at all, having no subject alternative names: CN=nameless"
    ),
    (
      "alone", .unknownCA,
      "a certificate of good.example comes from an authority that is not trusted: CN=alone, issued by CN=alone; it is "
        + "signed by itself: if it is the right one, give it as ca_file"
    ),
    ("forged", .unknownCA, "a certificate of good.example comes from an authority that is not trusted: CN=forged, issued"),
  ])
  func refused(_ name: String, _ code: TransportErrorCode, _ text: String) throws {
    let errors = try #require(try TLSPair(certificate: name).handshake())
    #expect(errors.client?.code == code)
    #expect(errors.client?.text.hasPrefix(text) == true, "\(errors.client?.text ?? "")")
    #expect(ERR_peek_error() == 0)
  }

  /// Nothing of it stays in the thread's queue of errors, where another user of OpenSSL would find it.
  @Test(arguments: [".", String(repeating: "a", count: 300)])
  func aNameThatCannotBeAskedFor(_ name: String) throws {
    let pair = try TLSPair(serverName: name)
    #expect(ERR_peek_error() == 0)
    guard case .failed(let error) = pair.client.handshake() else { return _ = Issue.record("no failure") }
    #expect(error.code == .hostname)
    #expect(error.text == "can't ask for a certificate of \(name): it is not a host name that TLS can check")
  }

  @Test func aCertificateMayBeTrustedItself() throws {
    let certificates = try Certificates.shared.get()
    #expect(try TLSPair(certificate: "alone", caFile: certificates.certificate("alone")).problem() == nil)
    #expect(try TLSPair(caFile: certificates.certificate("good")).handshake() == nil, "without its authority")
    #expect(try TLSPair(caFile: certificates.certificate("alone")).handshake()?.client?.code == .unknownCA)
  }

  @Test func anotherNameToAskForAndToCheck() throws {
    let pair = try TLSPair(host: "127.0.0.2", serverName: "a.wild.example").connect()
    #expect(pair.server.requestedServerName == "a.wild.example")
    let errors = try #require(try TLSPair(host: "good.example", serverName: "evil.example").handshake())
    #expect(errors.client?.code == .hostname)
    #expect(errors.client?.text.hasPrefix("the certificate is not for evil.example, but for good.example") == true)
  }

  // MARK: Pins

  private func context(_ pins: [[UInt8]], verify: Bool = true, caFile: String? = nil) throws -> TLSContext {
    let settings = TLSSettings(caFile: try caFile ?? Certificates.shared.get().authority, verify: verify)
    settings.pins = pins.flatMap { $0 }
    return try TLSContext(settings)
  }

  @Test func pinsOfTheCertificateAndOfItsAuthority() throws {
    let certificates = try Certificates.shared.get()
    let wrong = [UInt8](repeating: 7, count: 32)
    let own = try certificates.pin("good")
    let authority = try certificates.pin("ca")
    for pins in [[own], [authority], [wrong, own]] {
      #expect(try TLSPair(context: context(pins)).problem() == nil)
    }
    let pair = try TLSPair(context: context([wrong]))
    let errors = try #require(pair.handshake())
    #expect(errors.client?.code == .pin)
    let text =
      "no key of good.example is one of pin_sha256; seen: sha256/\(Data(own).base64EncodedString()) of CN=good, "
      + "sha256/\(Data(authority).base64EncodedString()) of CN=ca; the server has a new key, or somebody listens in"
    #expect(errors.client?.text == text)
    guard case .failed = [1].withUnsafeBytes({ pair.client.write($0) }) else { return _ = Issue.record("it writes") }
  }

  @Test func aPinDoesNotReplaceVerification() throws {
    let pin = try Certificates.shared.get().pin("expired")
    #expect(try TLSPair(certificate: "expired", context: context([pin])).handshake()?.client?.code == .expired)
    #expect(try TLSPair(certificate: "expired", context: context([pin], verify: false)).problem() == nil)
  }

  @Test func withoutVerificationOnlyTheServersOwnKeyCounts() throws {
    // Anyone can send the certificate of an authority along.
    let certificates = try Certificates.shared.get()
    #expect(
      try TLSPair(context: context([certificates.pin("ca")], verify: false)).handshake()?.client?.code == .pin)
    #expect(try TLSPair(context: context([certificates.pin("good")], verify: false)).problem() == nil)
  }

  // MARK: Versions

  @Test func aServerOfOldTimes() throws {
    for (version, requires13) in [(0x01 as UInt8, false), (0x02, false), (0x03, true)] {
      let settings = TLSSettings(caFile: try Certificates.shared.get().authority)
      settings.requires13 = requires13
      let pair = try TLSPair(context: TLSContext(settings))
      _ = pair.client.handshake()
      // ServerHello: version, random, no session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
      let hello: [UInt8] = [0x03, version] + [UInt8](repeating: 9, count: 32) + [0, 0x00, 0x2F, 0]
      let message: [UInt8] = [2, 0, 0, UInt8(hello.count)] + hello
      let record: [UInt8] = [0x16, 0x03, version, 0, UInt8(message.count)] + message
      #expect(record.withUnsafeBytes { pair.serverTap.write($0) }.count == record.count)
      guard case .failed(let error) = pair.client.handshake() else { return _ = Issue.record("no failure") }
      #expect(error.code == .tlsVersion)
      let needed = requires13 ? "1.3, as tls_min_version asks for" : "1.2 or newer"
      #expect(
        error.text
          == "the TLS handshake with good.example failed: it does not speak TLS \(needed) (unsupported protocol)")
    }
  }

  @Test(arguments: [
    (70, TransportErrorCode.tlsVersion, "it does not speak TLS 1.2 or newer (the other side sent the alert protocol version)"),
    (112, .tls, "the other side sent the alert unrecognized name (it does not serve this name; "),
    (40, .tls, "the other side sent the alert handshake failure (often: no cipher suite that both sides accept)"),
    (42, .tls, "the other side sent the alert bad certificate"), (80, .tls, "the other side sent the alert internal error"),
    (116, .clientCertificate, "client_certificate and client_key; the other side sent the alert certificate required"),
    (255, .tls, "the other side sent the alert unknown"),
  ])
  func alerts(_ number: Int, _ code: TransportErrorCode, _ text: String) throws {
    let pair = try TLSPair()
    _ = pair.client.handshake()
    let record: [UInt8] = [0x15, 0x03, 0x03, 0, 2, 2, UInt8(number)]
    #expect(record.withUnsafeBytes { pair.serverTap.write($0) }.count == record.count)
    guard case .failed(let error) = pair.client.handshake() else { return _ = Issue.record("no failure") }
    #expect(error.code == code)
    #expect(error.text.contains(text), "\(error.text)")
  }
}

/// Where trust is looked for.
@Suite struct TrustStoreTests {
  struct Place: Equatable {
    var file: String?
    var folder: String?
  }

  private func search(_ root: String) -> Place {
    var path = [CChar](repeating: 0, count: 1024)
    let kind = psys_tls_search_trust(root, &path, path.count)
    let found = text(of: path)
    return Place(
      file: Int(kind) == PSYS_TLS_FILE ? found : nil, folder: Int(kind) == PSYS_TLS_FOLDER ? found : nil)
  }

  /// The trees of distributions: files, folders with hashes and links as their packages lay them out.
  private static let trees: [(name: String, files: [String], links: [(at: String, to: String)], found: Place)] = [
    (
      "Debian, Ubuntu", ["etc/ssl/certs/ca-certificates.crt", "usr/share/ca-certificates/mozilla/One.crt"],
      [("etc/ssl/certs/9d66eef0.0", "One.pem")], .init(file: "/etc/ssl/certs/ca-certificates.crt")
    ),
    (
      "Red Hat, Fedora", ["etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"],
      [
        ("etc/pki/tls/certs/ca-bundle.crt", "../../ca-trust/extracted/pem/tls-ca-bundle.pem"),
        ("etc/pki/tls/cert.pem", "certs/ca-bundle.crt"), ("etc/ssl/certs", "../pki/tls/certs"),
      ],
      .init(file: "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem")
    ),
    ("Red Hat 5", ["etc/pki/tls/certs/ca-bundle.crt"], [], .init(file: "/etc/pki/tls/certs/ca-bundle.crt")),
    (
      "SUSE", ["var/lib/ca-certificates/ca-bundle.pem"],
      [("etc/ssl/ca-bundle.pem", "../../var/lib/ca-certificates/ca-bundle.pem")], .init(file: "/etc/ssl/ca-bundle.pem")
    ),
    (
      "SUSE without links", ["var/lib/ca-certificates/ca-bundle.pem"], [],
      .init(file: "/var/lib/ca-certificates/ca-bundle.pem")
    ),
    (
      "SUSE with a folder only", ["var/lib/ca-certificates/openssl/01419da9.0"], [],
      .init(folder: "/var/lib/ca-certificates/openssl")
    ),
    (
      "Alpine", ["etc/ssl/certs/ca-certificates.crt"], [("etc/ssl/cert.pem", "certs/ca-certificates.crt")],
      .init(file: "/etc/ssl/certs/ca-certificates.crt")
    ),
    ("Alpine, the bundle only", ["etc/ssl/cert.pem"], [], .init(file: "/etc/ssl/cert.pem")),
    (
      "Arch", ["etc/ca-certificates/extracted/tls-ca-bundle.pem"],
      [("etc/ssl/certs/ca-certificates.crt", "../../ca-certificates/extracted/tls-ca-bundle.pem")],
      .init(file: "/etc/ssl/certs/ca-certificates.crt")
    ),
    ("a hashed folder only", ["etc/ssl/certs/9d66eef0.0"], [], .init(folder: "/etc/ssl/certs")),
    ("a folder without hashes", ["etc/ssl/certs/One.pem"], [], .init()),
    ("an empty bundle", ["etc/ssl/certs/ca-certificates.crt=", "etc/ssl/cert.pem"], [], .init(file: "/etc/ssl/cert.pem")),
    ("a link to nothing", ["etc/os-release"], [("etc/ssl/certs/ca-certificates.crt", "../gone")], .init()),
    ("nothing", ["etc/os-release"], [], .init()),
  ]

  @Test(arguments: trees.indices)
  func distributions(_ index: Int) throws {
    let tree = Self.trees[index]
    let root = NSTemporaryDirectory() + "pulsews-tree-" + UUID().uuidString
    let manager = FileManager.default
    defer { try? manager.removeItem(atPath: root) }
    func makeFolder(of path: String) throws {
      try manager.createDirectory(
        atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
    }
    let bundle = try Data(contentsOf: URL(fileURLWithPath: Certificates.shared.get().authority))
    for file in tree.files {
      let path = "\(root)/\(file.hasSuffix("=") ? String(file.dropLast()) : file)"
      try makeFolder(of: path)
      try (file.hasSuffix("=") ? Data() : bundle).write(to: URL(fileURLWithPath: path))
    }
    for link in tree.links {
      try makeFolder(of: "\(root)/\(link.at)")
      try manager.createSymbolicLink(atPath: "\(root)/\(link.at)", withDestinationPath: link.to)
    }
    let expected = Place(file: tree.found.file.map { root + $0 }, folder: tree.found.folder.map { root + $0 })
    #expect(search(root) == expected, "\(tree.name)")
    if let file = expected.file { #expect(try TLSPair(caFile: file).handshake() == nil, "\(tree.name)") }
  }

  @Test func onlyHashedNamesCountInAFolder() throws {
    let folder = NSTemporaryDirectory() + "pulsews-hashes-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for name in ["One.pem", "9d66eef.0", "9d66eef0", "9d66eef0.", "9D66EEF0.0", "9d66eef00.0", "9d66eef0.r0", ".9d66eef0.0"] {
      #expect(FileManager.default.createFile(atPath: "\(folder)/\(name)", contents: Data([1])))
      #expect(psys_tls_hashed_folder(folder) == 0, "\(name)")
    }
    #expect(FileManager.default.createFile(atPath: "\(folder)/9d66eef0.12", contents: Data([1])))
    #expect(psys_tls_hashed_folder(folder) == 1)
    #expect(psys_tls_hashed_folder("\(folder)/One.pem") == 0 && psys_tls_hashed_folder("/no/such/folder") == 0)
  }
}
