#!/usr/bin/env bash
# Disk image of dist/Atrous.app. UNTESTED: written with care, never run.
# Build the application first (pyinstaller.spec), on the architecture that it is for.
#   tools/packaging/macos/dmg.sh [IDENTITY]
# IDENTITY is a "Developer ID Application" of the keychain. Without it the application is signed ad hoc, and Gatekeeper asks the user.
set -euo pipefail
cd "$(dirname "$0")/../../.."
identity="${1:--}"
version="$(python3 -c 'from tools.packaging.deb import version; print(version())')"
[ -d dist/Atrous.app ] || { echo "dist/Atrous.app is missing; run: make app" >&2; exit 1; }

# Python and torch need executable memory and libraries of other teams.
entitlements="$(mktemp)"
trap 'rm -f "$entitlements"' EXIT
cat >"$entitlements" <<'PLIST'
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
  <key>com.apple.security.cs.allow-jit</key><true/>
  <key>com.apple.security.cs.allow-unsigned-executable-memory</key><true/>
  <key>com.apple.security.cs.disable-library-validation</key><true/>
</dict></plist>
PLIST
codesign --force --deep --options runtime --entitlements "$entitlements" --sign "$identity" dist/Atrous.app
codesign --verify --deep --strict dist/Atrous.app

staged="$(mktemp -d)"
cp -R dist/Atrous.app "$staged/"
ln -s /Applications "$staged/Applications"
hdiutil create -volname Atrous -srcfolder "$staged" -format UDZO -ov "dist/atrous-$version-$(uname -m).dmg"
rm -rf "$staged"
[ "$identity" = - ] || echo "Now: xcrun notarytool submit dist/atrous-$version-*.dmg --wait, then xcrun stapler staple it"
