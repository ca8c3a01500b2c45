// SPDX-License-Identifier: Apache-2.0
//
// What runs the fuzz targets. Each target is a function `fuzz<Name>` in Fuzz<Name>.swift, which ends the process when an
// input breaks what has to hold. build.sh defines FUZZ_<Name> for the target of a libFuzzer executable, and for every
// target that there is together with FUZZ_REPLAY for the executable that replays the corpora.

#if FUZZ_REPLAY

  import Glibc

  typealias FuzzTarget = (name: String, run: (UnsafeRawBufferPointer) -> Void)

  func fuzzTargets() -> [FuzzTarget] {
    var targets: [FuzzTarget] = []
    #if FUZZ_ClientHandshake
      targets.append(("ClientHandshake", fuzzClientHandshake))
    #endif
    #if FUZZ_ServerHandshake
      targets.append(("ServerHandshake", fuzzServerHandshake))
    #endif
    #if FUZZ_URL
      targets.append(("URL", fuzzURL))
    #endif
    #if FUZZ_ClientFrames
      targets.append(("ClientFrames", fuzzClientFrames))
    #endif
    #if FUZZ_ServerFrames
      targets.append(("ServerFrames", fuzzServerFrames))
    #endif
    #if FUZZ_Forwarded
      targets.append(("Forwarded", fuzzForwarded))
    #endif
    #if FUZZ_Token
      targets.append(("Token", fuzzToken))
    #endif
    #if FUZZ_Pattern
      targets.append(("Pattern", fuzzPattern))
    #endif
    #if FUZZ_JSON
      targets.append(("JSON", fuzzJSON))
    #endif
    #if FUZZ_Location
      targets.append(("Location", fuzzLocation))
    #endif
    #if FUZZ_PeerMessage
      targets.append(("PeerMessage", fuzzPeerMessage))
    #endif
    #if FUZZ_PeerQueue
      targets.append(("PeerQueue", fuzzPeerQueue))
    #endif
    #if FUZZ_FeedMap
      targets.append(("FeedMap", fuzzFeedMap))
    #endif
    #if FUZZ_Proxy
      targets.append(("Proxy", fuzzProxy))
    #endif
    #if FUZZ_Request
      targets.append(("Request", fuzzRequest))
    #endif
    return targets
  }

  /// Takes folders, each named after its target, and runs every file in them through it. Prints the name of the file
  /// before it runs when VERBOSE is set, and the number of files of each folder. 0 if all went well and there was work.
  @main struct Replay {
    static func main() {
      var total = 0
      let targets = fuzzTargets()
      for folder in CommandLine.arguments.dropFirst() {
        let name = folder.split(separator: "/").last.map(String.init) ?? ""
        guard let target = targets.first(where: { $0.name == name }) else {
          print("no target \(name) for folder \(folder)")
          exit(2)
        }
        let files = names(in: folder)
        for file in files {
          if getenv("VERBOSE") != nil { print("\(folder)/\(file)") }
          run(target, "\(folder)/\(file)")
        }
        print("\(name): \(files.count) inputs")
        total += files.count
      }
      print("\(total) inputs, no finding")
      exit(total > 0 ? 0 : 2)
    }

    static func names(in folder: String) -> [String] {
      guard let directory = opendir(folder) else {
        print("no folder \(folder)")
        exit(2)
      }
      defer { closedir(directory) }
      var names: [String] = []
      while let entry = readdir(directory) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if !name.hasPrefix(".") { names.append(name) }
      }
      return names.sorted()
    }

    static func run(_ target: FuzzTarget, _ path: String) {
      guard let file = fopen(path, "rb") else {
        print("can't open \(path)")
        exit(2)
      }
      defer { fclose(file) }
      var bytes: [UInt8] = []
      var piece = [UInt8](repeating: 0, count: 64 << 10)
      while true {
        let count = fread(&piece, 1, piece.count, file)
        if count == 0 { break }
        bytes += piece[..<count]
      }
      bytes.withUnsafeBytes { target.run($0) }
    }
  }

#else

  @_cdecl("LLVMFuzzerTestOneInput") public func fuzzOne(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let bytes = UnsafeRawBufferPointer(start: data, count: size)
    #if FUZZ_ClientHandshake
      fuzzClientHandshake(bytes)
    #elseif FUZZ_ServerHandshake
      fuzzServerHandshake(bytes)
    #elseif FUZZ_URL
      fuzzURL(bytes)
    #elseif FUZZ_ClientFrames
      fuzzClientFrames(bytes)
    #elseif FUZZ_ServerFrames
      fuzzServerFrames(bytes)
    #elseif FUZZ_Pattern
      fuzzPattern(bytes)
    #elseif FUZZ_JSON
      fuzzJSON(bytes)
    #elseif FUZZ_Location
      fuzzLocation(bytes)
    #elseif FUZZ_PeerMessage
      fuzzPeerMessage(bytes)
    #elseif FUZZ_PeerQueue
      fuzzPeerQueue(bytes)
    #elseif FUZZ_FeedMap
      fuzzFeedMap(bytes)
    #elseif FUZZ_Proxy
      fuzzProxy(bytes)
    #elseif FUZZ_Request
      fuzzRequest(bytes)
    #elseif FUZZ_Forwarded
      fuzzForwarded(bytes)
    #elseif FUZZ_Token
      fuzzToken(bytes)
    #endif
    return 0
  }

#endif
