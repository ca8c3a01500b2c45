// SPDX-License-Identifier: Apache-2.0

/// A path where requests of a service become messages of a topic.
struct WebhookConfig: Equatable, Sendable {
  enum SecretPlace: Equatable, Sendable {
    /// PATH/SECRET.
    case path
    /// A member of the JSON object, which is taken out.
    case body(member: String)
  }

  enum Accepts: String, Sendable {
    case any, json, text
  }

  let path: String
  var secret: String?
  var secretPlace = SecretPlace.path
  /// Empty: any address.
  var allow = AddressList()
  var topic: TopicTemplate
  var statusTopic = "signal_status"
  var accepts = Accepts.any
  var maxBody = 16 << 10
  /// For how long a repetition is known (ns); 0: it is not looked for.
  var window: Int64 = 60_000_000_000
  /// The member that tells two messages apart; empty: the whole body.
  var idPath: [String] = []

  static let mostWindow: Int64 = 86_400_000_000_000

  /// The path that the hub gets. With a secret in the path all beneath it, so that the hub does not compare with the secret. Of a
  /// path that is wrong before the secret it quotes all in its refusal; the log takes the secret out.
  var route: String { secret != nil && secretPlace == .path ? path + "/" : path }
}

extension WebhookConfig {
  /// nil, with errors, if it can't be one.
  static func read(_ path: String, _ node: ConfigNode, _ findings: Findings, _ surroundings: Surroundings) -> WebhookConfig? {
    let section = Section("[webhook.\"\(path)\"]", node, findings, surroundings)
    defer { section.finish() }
    if !path.hasPrefix("/") || path.hasSuffix("/") {
      findings.error(node.line, "the path of \(section.title) begins with / and does not end with one")
    }
    let template = section.text("topic")
    guard let topic = TopicTemplate(template?.value ?? "signal") else {
      findings.error(template?.line ?? node.line, "\"topic\" of \(section.title) is a name with places such as {ticker}")
      return nil
    }
    var webhook = WebhookConfig(path: path, topic: topic)
    readSecret(section, &webhook)
    for address in section.texts("allow") ?? [] where !webhook.allow.add(address.value) {
      let names = AddressList.named.keys.sorted().joined(separator: ", ")
      findings.error(
        address.line,
        "\"allow\" of \(section.title) has addresses, blocks such as 10.0.0.0/8, unix, or \(names), and not \"\(address.value)\"")
    }
    if webhook.secret == nil, webhook.allow.isEmpty {
      findings.error(node.line, "\(section.title) needs \"secret\" or \"allow\": anybody could send signals")
    }
    if let status = section.text("status_topic") { webhook.statusTopic = status.value }
    if let accepts = section.text("accept", allowed: ["any", "json", "text"]) {
      webhook.accepts = Accepts(rawValue: accepts.value) ?? .any
    }
    webhook.maxBody = section.size("max_body", "1 to 1MiB", 1...(1 << 20)).flatMap { Int(exactly: $0) } ?? webhook.maxBody
    webhook.window = section.time("duplicate_window", "0 (off) to 1 day", 0...mostWindow) ?? webhook.window
    if let id = section.text("id_member") {
      webhook.idPath = id.value.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    }
    return webhook
  }

  private static func readSecret(_ section: Section, _ webhook: inout WebhookConfig) {
    let place = section.text("secret_in", allowed: ["path", "body"])
    let member = section.text("secret_member")
    guard let secret = section.secret("secret") else {
      if let stray = place ?? member { section.findings.error(stray.line, "\(section.title) has no \"secret\"") }
      return
    }
    webhook.secret = secret.value
    if place?.value == "body" {
      webhook.secretPlace = .body(member: member?.value ?? "secret")
    } else {
      if let member { section.findings.error(member.line, "\"secret_member\" of \(section.title) is for secret_in = \"body\"") }
      // What stands in a URL unescaped (RFC 3986 §2.3), so that it is compared as it comes.
      let isPlain = secret.value.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
          UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "."):
          true
        default: false
        }
      }
      if !isPlain { section.findings.error(secret.line, "\"secret\" of \(section.title) stands in a path: letters, digits, - _ ~ . only") }
    }
    if secret.value.utf8.count < 16 {
      section.findings.warn(secret.line, "\"secret\" of \(section.title) has less than 16 bytes, and can be guessed")
    }
  }
}

/// A file with a line for each signal.
struct AuditConfig: Equatable, Sendable {
  let file: String
  var maxSize: Int64 = 64 << 20
  var keep = 5

  static func read(_ section: Section) -> AuditConfig? {
    defer { section.finish() }
    let maxSize = section.size("max_size", "4KiB to 1024GiB", 4096...(1 << 40))
    let keep = section.count("keep", 1...1000)
    guard let file = section.text("file") else {
      section.findings.error(section.line, "\(section.title) needs \"file\"")
      return nil
    }
    var audit = AuditConfig(file: file.value)
    audit.maxSize = maxSize ?? audit.maxSize
    audit.keep = keep ?? audit.keep
    return audit
  }
}
