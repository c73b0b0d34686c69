; Recipe for Inno Setup 6.3 or newer of the Windows installer. UNTESTED: written with care, never run.
; Build the folder first (pyinstaller.spec), then, in the root of the repository:
;   iscc /DVersion=0.1.0 tools\packaging\windows\atrous.iss
; It installs for the current user and needs no administrator; /ALLUSERS installs for everybody.

#ifndef Version
  #define Version "0.1.0"
#endif

[Setup]
AppId={{7B0E3B8C-5C4D-4C0E-9B55-2C6E6F3A1D21}
AppName=Atrous
AppVersion={#Version}
AppPublisher=The Atrous developers
DefaultDirName={autopf}\Atrous
DefaultGroupName=Atrous
DisableProgramGroupPage=yes
PrivilegesRequired=lowest
PrivilegesRequiredOverridesAllowed=dialog commandline
ArchitecturesAllowed=x64compatible
ArchitecturesInstallIn64BitMode=x64compatible
LicenseFile=..\..\..\LICENSE
OutputDir=..\..\..\dist
OutputBaseFilename=atrous-{#Version}-setup
Compression=lzma2
SolidCompression=yes
WizardStyle=modern
UninstallDisplayIcon={app}\Atrous.exe

[Languages]
Name: "english"; MessagesFile: "compiler:Default.isl"
Name: "korean"; MessagesFile: "compiler:Languages\Korean.isl"

[Tasks]
Name: "desktopicon"; Description: "{cm:CreateDesktopIcon}"; Flags: unchecked

[InstallDelete]
; Parts of an older version that the new one does not have.
Type: filesandordirs; Name: "{app}\_internal"

[Files]
Source: "..\..\..\dist\atrous\*"; DestDir: "{app}"; Flags: ignoreversion recursesubdirs createallsubdirs

[Icons]
Name: "{group}\Atrous"; Filename: "{app}\Atrous.exe"
Name: "{autodesktop}\Atrous"; Filename: "{app}\Atrous.exe"; Tasks: desktopicon

[Registry]
; "Open with Atrous" for folders.
Root: HKA; Subkey: "Software\Classes\Directory\shell\Atrous"; ValueType: string; ValueData: "Atrous"; Flags: uninsdeletekey
Root: HKA; Subkey: "Software\Classes\Directory\shell\Atrous"; ValueType: string; ValueName: "Icon"; ValueData: "{app}\Atrous.exe"
Root: HKA; Subkey: "Software\Classes\Directory\shell\Atrous\command"; ValueType: string; ValueData: """{app}\Atrous.exe"" ""%1"""

[Run]
Filename: "{app}\Atrous.exe"; Description: "{cm:LaunchProgram,Atrous}"; Flags: nowait postinstall skipifsilent
