// SPDX-License-Identifier: Apache-2.0
import CPulseSys
import Foundation
import Testing

@testable import PulseTransport

/// Certificates made for this run by the openssl command, in a folder of its own that goes when the process ends.
final class Certificates: Sendable {
  static let shared = Result { try Certificates() }

  let folder: String
  var authority: String { folder + "/ca.pem" }

  private init() throws {
    folder = NSTemporaryDirectory() + "pulsews-tls-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    Self.removeAtExit(folder)
    for name in ["ca", "other"] {
      try openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=\(name) "
          + "-keyout \(name)-key.pem -out \(name).pem")
    }
    try issue("good", names: "DNS:good.example,DNS:*.wild.example,IP:127.0.0.1,IP:::1")
    try issue("expired", names: "DNS:good.example", dates: ("20200101000000Z", "20200201000000Z"))
    try issue("early", names: "DNS:good.example", dates: ("20900101000000Z", "20910101000000Z"))
    try issue("mail", names: "DNS:good.example", extensions: "extendedKeyUsage=emailProtection")
    try issue("nameless", names: nil)
    // An authority that calls itself as the trusted one does.
    try openssl(
      "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=ca "
        + "-addext subjectKeyIdentifier=none -addext authorityKeyIdentifier=none -keyout false-key.pem -out false.pem")
    try issue("forged", names: "DNS:good.example", authority: "false")
    try openssl(
      "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=alone "
        + "-addext subjectAltName=DNS:good.example -keyout alone-key.pem -out alone.pem")
    try openssl("pkey -in good-key.pem -aes128 -passout pass:secret -out locked-key.pem")
  }

  /// SHA-256 of the public key, as the recipe of everyone has it.
  func pin(_ name: String) throws -> [UInt8] {
    // Files of its own: tests that run at the same time ask for the same pin.
    let own = "\(name)-\(UUID().uuidString)"
    try openssl("x509 -in \(name).pem -noout -pubkey | openssl pkey -pubin -outform DER -out \(own).der")
    try openssl("dgst -sha256 -binary -out \(own).pin \(own).der")
    return [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(own).pin")))
  }

  func certificate(_ name: String) -> String { "\(folder)/\(name).pem" }
  func key(_ name: String) -> String { "\(folder)/\(name)-key.pem" }

  private func issue(
    _ name: String, names: String?, dates: (from: String, to: String)? = nil, extensions: String = "",
    authority: String = "ca"
  ) throws {
    try openssl(
      "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=\(name) -keyout \(name)-key.pem "
        + "-out \(name).csr")
    try "\(names.map { "subjectAltName=\($0)" } ?? "")\n\(extensions)\n".write(
      toFile: "\(folder)/\(name).ext", atomically: true, encoding: .utf8)
    guard let dates else {
      try openssl(
        "x509 -req -in \(name).csr -CA \(authority).pem -CAkey \(authority)-key.pem -CAcreateserial -days 2 "
          + "-extfile \(name).ext -out \(name).pem")
      return
    }
    // Dates other than from now on: only "ca" takes them in every OpenSSL 3.
    let settings = """
      [ca]
      default_ca = own
      [own]
      database = index.txt
      new_certs_dir = .
      rand_serial = yes
      default_md = sha256
      policy = any
      unique_subject = no
      [any]
      commonName = supplied
      """
    try settings.write(toFile: "\(folder)/ca.cnf", atomically: true, encoding: .utf8)
    try "".write(toFile: "\(folder)/index.txt", atomically: true, encoding: .utf8)
    try openssl(
      "ca -batch -config ca.cnf -cert ca.pem -keyfile ca-key.pem -in \(name).csr -out \(name).pem -notext "
        + "-startdate \(dates.from) -enddate \(dates.to) -extfile \(name).ext")
  }

  private func openssl(_ arguments: String) throws {
    // posix_spawn and not Foundation's Process, which leaks a little: the leak sanitizer would report it.
    let script = "cd '\(folder)' && { openssl \(arguments); } >said.txt 2>&1 </dev/null"
    var words: [UnsafeMutablePointer<CChar>?] = [strdup("sh"), strdup("-c"), strdup(script), nil]
    defer { for word in words { free(word) } }
    var child = pid_t()
    var status: Int32 = -1
    guard posix_spawn(&child, "/bin/sh", nil, nil, &words, environ) == 0 else {
      throw TransportError(.trust, "can't run a shell")
    }
    while waitpid(child, &status, 0) < 0 && errno == EINTR {}
    guard status == 0 else {
      let said = (try? String(contentsOfFile: folder + "/said.txt", encoding: .utf8)) ?? ""
      throw TransportError(.trust, "openssl \(arguments): \(said)")
    }
  }

  nonisolated(unsafe) private static var doomed: [String] = []
  private static func removeAtExit(_ folder: String) {
    doomed.append(folder)
    atexit { for folder in Certificates.doomed { try? FileManager.default.removeItem(atPath: folder) } }
  }
}

/// A stream in between that counts calls, and can hold back, split or cut what passes.
final class Tap: ByteStream, @unchecked Sendable {  // used by one thread
  private let lower: ByteStream
  var reads = 0
  var writes = 0
  /// At most so many bytes a call.
  var readPortion = Int.max
  var writePortion = Int.max
  /// Writes give `wouldBlock`.
  var isBlocked = false
  /// So many more calls write; the others give `wouldBlock`.
  var writesLeft = Int.max

  init(_ lower: ByteStream) { self.lower = lower }

  override var descriptor: Int32 { lower.descriptor }
  override func read(into buffer: UnsafeMutableRawBufferPointer) -> IOResult {
    reads += 1
    return lower.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(readPortion)))
  }
  override func write(_ bytes: UnsafeRawBufferPointer) -> IOResult {
    writes += 1
    if isBlocked || writesLeft == 0 { return .wouldBlock }
    writesLeft -= 1
    return lower.write(UnsafeRawBufferPointer(rebasing: bytes.prefix(writePortion)))
  }
  override func shutdown() { lower.shutdown() }
  override func close() { lower.close() }
}

/// A TLS client and server in one thread, over a pair of sockets.
final class TLSPair {
  let client: TLSStream
  let server: TLSStream
  let clientTap: Tap
  let serverTap: Tap

  /// - Parameter context: the client's, in place of one made from the parameters before.
  init(
    certificate: String = "good", host: String = "good.example", caFile: String? = nil, verify: Bool = true,
    trustsNothingOfOurs: Bool = false, context: TLSContext? = nil, serverContext: TLSContext? = nil,
    serverName: String? = nil
  ) throws {
    let certificates = try Certificates.shared.get()
    var first: Int32 = -1
    var second: Int32 = -1
    #expect(psys_socket_pair(&first, &second) == 0)
    clientTap = Tap(TCPStream(descriptor: first, peer: "server"))
    serverTap = Tap(TCPStream(descriptor: second, peer: "client"))
    let trust = trustsNothingOfOurs ? certificates.certificate("other") : (caFile ?? certificates.authority)
    let context = try context ?? TLSContext(caFile: trust, verify: verify)
    client = context.makeStream(over: clientTap, host: host, serverName: serverName)
    let serverContext =
      try serverContext
      ?? TLSContext.server(certificateFile: certificates.certificate(certificate), keyFile: certificates.key(certificate))
    server = serverContext.makeServerStream(over: serverTap)
  }

  /// Nil when both are done; else the errors.
  func handshake() -> (client: TransportError?, server: TransportError?)? {
    var errors: (client: TransportError?, server: TransportError?) = (nil, nil)
    var patience = 20_000
    while patience > 0 {
      patience -= 1
      var done = 0
      for side in [client, server] {
        switch side.handshake() {
        case .bytes: done += 1
        case .wouldBlock: continue
        case .end: Issue.record("a handshake that ends")
        case .failed(let error):
          if side === client { errors.client = error } else { errors.server = error }
          // The other side may have its alert to read still, or none to come.
          patience = min(patience, 100)
        }
      }
      if done == 2 { return nil }
      if errors.client != nil, errors.server != nil || done == 1 { return errors }
    }
    return errors
  }

  /// The same as a text, which a failed expectation shows.
  func problem() -> String? {
    handshake().map {
      "client: \($0.client.map { "\($0.code) \($0.text)" } ?? "waits"), server: \($0.server.map { "\($0.code) \($0.text)" } ?? "waits")"
    }
  }

  func connect() throws -> TLSPair {
    if let errors = handshake() { throw errors.client ?? errors.server ?? TransportError(.timeout, "no handshake") }
    return self
  }
}

/// Sends all of `bytes` and receives them at the other end, in one thread; what arrived.
func pass(_ bytes: [UInt8], from sender: ByteStream, to receiver: ByteStream, portion: Int = 100_000) -> [UInt8] {
  var sent = 0
  var received: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 48 << 10)
  var idle = 0
  while received.count < bytes.count, idle < 100_000 {
    idle += 1
    if sent < bytes.count {
      bytes.withUnsafeBytes { all in
        let end = min(all.count, sent + portion)
        if case .bytes(let count) = sender.write(UnsafeRawBufferPointer(rebasing: all[sent..<end])) {
          sent += count
          idle = 0
        }
      }
    }
    while case .bytes(let count) = buffer.withUnsafeMutableBytes({ receiver.read(into: $0) }), count > 0 {
      received += buffer[0..<count]
      idle = 0
    }
  }
  return received
}
