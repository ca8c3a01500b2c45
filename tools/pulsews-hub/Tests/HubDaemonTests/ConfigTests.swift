// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HubDaemon

@Suite struct ConfigTests {
  @Test func everyOptionOfTheLibraryIsTaken() {
    for (scope, header) in [(OptionTable.Scope.hub, "[hub]"), (.route, "[route.\"/ws\"]"), (.topic, "[topic.\"a\"]")] {
      let options = OptionTable.library.options(of: scope).filter { $0.name != "events" }
      #expect(!options.isEmpty)
      for option in options {
        let value =
          switch option.type {
          case "boolean": "true"
          case "integer": "7"
          case "list": "[\"a\", \"b\"]"
          default: "\"7\""
          }
        let reading = Reading("\(header)\n\(option.name) = \(value)\n")
        #expect(reading.errors == [], "\(option.name)")
        let found = scope == .hub ? reading.config.hub : (reading.config.routes + reading.config.topics).flatMap(\.options)
        #expect(found.allSatisfy { $0.name == option.name && $0.line == 2 })
        #expect(found.count == (option.type == "list" ? 2 : 1))
      }
    }
  }

  @Test func allErrorsAreToldInOrder() {
    let reading = Reading(
      """
      [lgo]
      [hub]
      hearbeat = 5
      compression = "yes"
      events = ["message"]
      [topic."a"]
      history = "many"
      latest = 1
      [log]
      level = "loud"
      [daemon]
      drain_timeout = "2h"
      [key.main]
      algorithm = "HS256"
      """)
    #expect(
      reading.errors == [
        "line 1: there is no \"lgo\" in the configuration; \"log\" is spelled nearly so",
        "line 3: there is no \"hearbeat\" in [hub]; \"heartbeat\" is spelled nearly so",
        "line 4: \"compression\" of [hub] is true or false, without quotation marks, and not a text",
        "line 5: there is no \"events\" in [hub]",
        "line 7: \"history\" of [topic.\"a\"] is a number (0 (none) to 10000000), and not a text",
        "line 8: \"latest\" of [topic.\"a\"] is true or false, without quotation marks, and not a number",
        "line 10: \"level\" of [log] is one of error, warning, info, debug, and not \"loud\"",
        "line 12: \"drain_timeout\" of [daemon] is a time of 0 to 1h, such as \"30s\", and not \"2h\"",
        "line 13: [key.main] with HS256 needs \"secret\", and no other key",
      ])
  }

  @Test func aSyntaxErrorHasItsPlace() {
    let errors = Reading("[hub]\nlisten = [\"a\"\nname = 1\n").errors
    #expect(errors.count == 1)
    #expect(errors.first?.hasPrefix("line 3: column 1: ") == true, "\(errors)")
  }

  /// The parser itself aborts the process at these.
  @Test(arguments: ["[=", "[\n]", "[[=]]", "[ .a]", "\u{FEFF}[=]", "a = 1\n[#x]", "[[\n", "a = '''\n[=]\n'''\n[*a]", "[\u{A0}a]", "[é]"])
  func aTableWithoutANameIsAnError(_ text: String) {
    let errors = Reading(text).errors
    #expect(errors.count == 1 && errors.first?.contains("a table has a name") == true, "\(errors)")
  }

  @Test func whatIsWrongBeforeItComesFirst() {
    #expect(Reading("a = \n[=]\n").errors.first?.hasPrefix("line 1: column") == true)
  }

  @Test(arguments: ["hub = 1", "topic = []", "feed = \"x\"", "[[hub]]", "log = 2026-01-01", "[feed]\na = 1", "key.main = true"])
  func whatIsNoTableIsAnError(_ text: String) { #expect(Reading(text).errors.count >= 1) }

  @Test func secretsComeFromFilesAndVariables() {
    let reading = Reading(
      """
      [hub]
      publish_token_file = "$CREDENTIALS_DIRECTORY/token"
      [key.a]
      algorithm = "HS256"
      secret_env = "SECRET"
      [key.b]
      algorithm = "EdDSA"
      public_key_file = "/pem"
      """,
      files: ["/run/c/token": "from-a-file\n", "/pem": "PEM\n\n"],
      environment: ["SECRET": "from-the-environment", "CREDENTIALS_DIRECTORY": "/run/c"])
    #expect(reading.errors == [])
    #expect(reading.config.hubOption("publish_token")?.value == "from-a-file")
    #expect(reading.config.keys.map(\.material) == ["from-the-environment", "PEM"])
    #expect(Set(reading.findings.secrets) == ["from-a-file", "from-the-environment", "PEM"])
    #expect(reading.findings.secretLine == nil)
  }

  @Test func aSecretThatIsNotThereIsAnError() {
    let reading = Reading(
      """
      [hub]
      publish_token_file = "/none"
      [key.a]
      algorithm = "HS256"
      secret = "in the file"
      secret_env = "SECRET"
      """, environment: ["SECRET": "x"])
    #expect(
      reading.errors == [
        "line 2: \"publish_token_file\" of [hub]: /none is not there",
        "line 5: \"secret\" of [key.a] is given twice",
      ])
    #expect(reading.findings.secretLine == 5)
    #expect(Reading("[key.a]\nalgorithm = \"HS256\"\nsecret_env = \"NONE\"\n").errors.contains { $0.contains("no variable NONE") })
    #expect(Reading("[hub]\npublish_token_file = \"$CREDENTIALS_DIRECTORY/x\"").errors.first?.contains("LoadCredential") == true)
  }

  @Test func anEmptyListEmptiesThatOfTheLibrary() {
    #expect(Reading("[hub]\norigin = []\n").config.hub == [OptionSetting(name: "origin", value: "", line: 2)])
  }

  @Test func foldersAreRoutes() {
    let config = Reading("[static]\n\"/app/\" = \"/srv\"\n").config
    #expect(config.routes.map(\.name.value) == ["/app/"])
    #expect(config.routes.first?.options.map(\.value) == ["static", "/srv"])
    #expect(Reading("[route.\"/a/\"]\n[static]\n\"/a/\" = \"/srv\"\n").errors.count == 1)
  }

  @Test func numbersHaveTheirRange() {
    func errors(_ keep: String) -> [String] {
      Reading("[webhook.\"/h\"]\nallow = \"unix\"\n[audit]\nfile = \"a\"\nkeep = \(keep)\n").errors
    }
    #expect(errors("1000") == [])
    #expect(errors("0") == ["line 5: \"keep\" of [audit] is a number from 1 to 1000, and not 0"])
    #expect(errors("\"5\"") == ["line 5: \"keep\" of [audit] is a number from 1 to 1000, and not a text"])
  }
}
