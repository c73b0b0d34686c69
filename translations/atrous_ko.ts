<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="ko" sourcelanguage="en">
<context>
    <name></name>
    <message>
        <source>{key} already belongs to &apos;{command}&apos;</source>
        <extracomment>Overrides that make other programs&apos; hands feel at home; each is checked for conflicts by a test. Ids of commands in earlier versions, under which a settings file may still keep shortcuts. Position on a US keyboard -&gt; what the user&apos;s keyboard has there, where it differs and is known.</extracomment>
        <translation>{key} 키는 이미 &apos;{command}&apos; 명령의 단축키입니다</translation>
    </message>
    <message>
        <source>Choose another key, or take it from that command first</source>
        <translation>다른 키를 고르거나 먼저 그 명령에서 키를 해제하세요</translation>
    </message>
    <message>
        <source>Rescan the folder for new images</source>
        <extracomment>Full names of commands; in a menu, a shorter name is clear from its place.</extracomment>
        <translation>새 이미지가 있는지 폴더 다시 검색</translation>
    </message>
    <message>
        <source>Save the mask of this image now</source>
        <translation>이 이미지의 마스크를 지금 저장</translation>
    </message>
    <message>
        <source>Import masks for the images of the folder</source>
        <translation>폴더의 이미지에 마스크 가져오기</translation>
    </message>
    <message>
        <source>Export the masks of the folder</source>
        <translation>폴더의 마스크 내보내기</translation>
    </message>
    <message>
        <source>Settings of Atrous</source>
        <translation>Atrous 설정</translation>
    </message>
    <message>
        <source>Quit Atrous</source>
        <translation>Atrous 종료</translation>
    </message>
    <message>
        <source>Undo the last step</source>
        <translation>마지막 단계 실행 취소</translation>
    </message>
    <message>
        <source>Redo the step that was undone</source>
        <translation>실행 취소한 단계 다시 실행</translation>
    </message>
    <message>
        <source>Replace the mask by the prediction</source>
        <translation>마스크를 예측으로 바꾸기</translation>
    </message>
    <message>
        <source>Replace the mask by the ground truth</source>
        <translation>마스크를 정답으로 바꾸기</translation>
    </message>
    <message>
        <source>Replace the mask by a mask file</source>
        <translation>마스크를 마스크 파일로 바꾸기</translation>
    </message>
    <message>
        <source>Clear the mask of this image</source>
        <translation>이 이미지의 마스크 지우기</translation>
    </message>
    <message>
        <source>Take the waiting prediction for this image</source>
        <translation>이 이미지에 대기 중인 예측 적용</translation>
    </message>
    <message>
        <source>Dismiss the waiting prediction for this image</source>
        <translation>이 이미지에 대기 중인 예측 버리기</translation>
    </message>
    <message>
        <source>Mark this image reviewed and open the next</source>
        <translation>이 이미지를 검토 완료로 표시하고 다음 이미지 열기</translation>
    </message>
    <message>
        <source>Mark this image reviewed, or not reviewed</source>
        <translation>이 이미지의 검토 완료 표시 켜기/끄기</translation>
    </message>
    <message>
        <source>The mask of this image fits the changed file</source>
        <translation>이 이미지의 마스크가 변경된 파일에 맞음</translation>
    </message>
    <message>
        <source>Select unlabelled (void) as the class to paint</source>
        <translation>라벨 없음(void)을 칠할 클래스로 선택</translation>
    </message>
    <message>
        <source>Select the previous class</source>
        <translation>이전 클래스 선택</translation>
    </message>
    <message>
        <source>Select the next class</source>
        <translation>다음 클래스 선택</translation>
    </message>
    <message>
        <source>Find a class by its name</source>
        <translation>이름으로 클래스 찾기</translation>
    </message>
    <message>
        <source>Show all classes in the overlay</source>
        <translation>오버레이에 모든 클래스 표시</translation>
    </message>
    <message>
        <source>Show masks over the image</source>
        <translation>이미지 위에 마스크 표시</translation>
    </message>
    <message>
        <source>Show contours of the masks</source>
        <translation>마스크 윤곽선 표시</translation>
    </message>
    <message>
        <source>Show the names of classes on the image</source>
        <translation>이미지 위에 클래스 이름 표시</translation>
    </message>
    <message>
        <source>Increase overlay opacity</source>
        <translation>오버레이 불투명도 높이기</translation>
    </message>
    <message>
        <source>Decrease overlay opacity</source>
        <translation>오버레이 불투명도 낮추기</translation>
    </message>
    <message>
        <source>Show the trimap band in a view</source>
        <translation>뷰에 트라이맵 밴드 표시</translation>
    </message>
    <message>
        <source>Show the uncertainty in a view</source>
        <translation>뷰에 불확실도 표시</translation>
    </message>
    <message>
        <source>Show errors against the ground truth in a view</source>
        <translation>뷰에 정답 대비 오류 표시</translation>
    </message>
    <message>
        <source>One view of the image, or several linked views</source>
        <translation>이미지를 뷰 하나 또는 연결된 여러 뷰로 표시</translation>
    </message>
    <message>
        <source>Show the image in one view</source>
        <translation>이미지를 뷰 하나로 표시</translation>
    </message>
    <message>
        <source>Show the image in two views</source>
        <translation>이미지를 뷰 두 개로 표시</translation>
    </message>
    <message>
        <source>Show the image in three views</source>
        <translation>이미지를 뷰 세 개로 표시</translation>
    </message>
    <message>
        <source>Show the image in four views</source>
        <translation>이미지를 뷰 네 개로 표시</translation>
    </message>
    <message>
        <source>Show the image with a split slider</source>
        <translation>이미지를 분할 슬라이더로 표시</translation>
    </message>
    <message>
        <source>Fit the image to the window</source>
        <translation>이미지를 창에 맞추기</translation>
    </message>
    <message>
        <source>Show the image at 100 %</source>
        <translation>이미지를 100 %로 표시</translation>
    </message>
    <message>
        <source>Zoom into the image</source>
        <translation>이미지 확대</translation>
    </message>
    <message>
        <source>Zoom out of the image</source>
        <translation>이미지 축소</translation>
    </message>
    <message>
        <source>Keep the zoom when the image changes</source>
        <translation>이미지가 바뀌어도 확대/축소 유지</translation>
    </message>
    <message>
        <source>Run the model on this image</source>
        <translation>이 이미지에 모델 실행</translation>
    </message>
    <message>
        <source>Run the model on the folder</source>
        <translation>폴더에 모델 실행</translation>
    </message>
    <message>
        <source>Cancel the running job</source>
        <translation>실행 중인 작업 취소</translation>
    </message>
    <message>
        <source>Set the model options: stride, rates, input</source>
        <translation>모델 옵션 설정: 스트라이드, 팽창률, 입력</translation>
    </message>
    <message>
        <source>Adapt the model: learn from corrections</source>
        <translation>모델 적응: 수정한 내용에서 학습</translation>
    </message>
    <message>
        <source>Compare models on this image</source>
        <translation>이 이미지에서 모델 비교</translation>
    </message>
    <message>
        <source>Compare models: add a model file</source>
        <translation>모델 비교: 모델 파일 추가</translation>
    </message>
    <message>
        <source>Compare models on the folder</source>
        <translation>폴더에서 모델 비교</translation>
    </message>
    <message>
        <source>Compare all installed models on the folder</source>
        <translation>설치된 모든 모델을 폴더에서 비교</translation>
    </message>
    <message>
        <source>Match the model classes to the project classes</source>
        <translation>모델 클래스를 프로젝트 클래스에 연결</translation>
    </message>
    <message>
        <source>CRF preview on this image</source>
        <translation>이 이미지의 CRF 미리보기</translation>
    </message>
    <message>
        <source>Split mask and CRF preview</source>
        <translation>마스크와 CRF 미리보기 나누어 보기</translation>
    </message>
    <message>
        <source>Show pixels changed by the CRF</source>
        <translation>CRF가 바꾼 픽셀 표시</translation>
    </message>
    <message>
        <source>Apply the CRF to this image</source>
        <translation>이 이미지에 CRF 적용</translation>
    </message>
    <message>
        <source>Apply the CRF to this image, in the trimap band only</source>
        <translation>이 이미지의 트라이맵 밴드 안에만 CRF 적용</translation>
    </message>
    <message>
        <source>Apply the CRF inside an outline on this image</source>
        <translation>이 이미지에서 그린 윤곽 안에 CRF 적용</translation>
    </message>
    <message>
        <source>Apply the CRF to the folder</source>
        <translation>폴더에 CRF 적용</translation>
    </message>
    <message>
        <source>Discard the CRF preview</source>
        <translation>CRF 미리보기 버리기</translation>
    </message>
    <message>
        <source>Scribble mode: the CRF refines strokes</source>
        <translation>스크리블 모드: CRF가 획을 정제</translation>
    </message>
    <message>
        <source>Refine the mask itself with the CRF</source>
        <translation>마스크 자체를 CRF로 정제</translation>
    </message>
    <message>
        <source>Choose the ground truth of the folder</source>
        <translation>폴더의 정답 선택</translation>
    </message>
    <message>
        <source>Orientation of the ground truth masks</source>
        <translation>정답 마스크의 방향</translation>
    </message>
    <message>
        <source>Evaluate the masks of the folder</source>
        <translation>폴더의 마스크 평가</translation>
    </message>
    <message>
        <source>Show the Evaluation panel</source>
        <translation>평가 패널 표시</translation>
    </message>
    <message>
        <source>Mark the error under the pointer as ambiguous</source>
        <translation>포인터 아래 오류를 모호함으로 표시</translation>
    </message>
    <message>
        <source>Mark an outline on the image as ambiguous</source>
        <translation>이미지에 그린 윤곽을 모호함으로 표시</translation>
    </message>
    <message>
        <source>Clear the ambiguity mark under the pointer</source>
        <translation>포인터 아래 모호함 표시 지우기</translation>
    </message>
    <message>
        <source>Show the messages since the start</source>
        <translation>시작 이후의 메시지 표시</translation>
    </message>
    <message>
        <source>Dark theme for the window</source>
        <translation>창에 어두운 테마 사용</translation>
    </message>
    <message>
        <source>Show or hide the Images panel</source>
        <translation>이미지 패널 표시/숨기기</translation>
    </message>
    <message>
        <source>Show or hide the Classes panel</source>
        <translation>클래스 패널 표시/숨기기</translation>
    </message>
    <message>
        <source>Show or hide the Model panel</source>
        <translation>모델 패널 표시/숨기기</translation>
    </message>
    <message>
        <source>Show or hide the CRF panel</source>
        <translation>CRF 패널 표시/숨기기</translation>
    </message>
    <message>
        <source>Show or hide the Trimap curve panel</source>
        <translation>트라이맵 곡선 패널 표시/숨기기</translation>
    </message>
    <message>
        <source>Show or hide the History panel</source>
        <translation>작업 기록 패널 표시/숨기기</translation>
    </message>
    <message>
        <source>File</source>
        <extracomment>Height of a row of one line, px.</extracomment>
        <translation>파일</translation>
    </message>
    <message>
        <source>Edit</source>
        <translation>편집</translation>
    </message>
    <message>
        <source>Go</source>
        <translation>이동</translation>
    </message>
    <message>
        <source>Tools</source>
        <translation>도구</translation>
    </message>
    <message>
        <source>Classes</source>
        <extracomment>Rows that the list has before the line about the ground truth gets room, and before the rule behind the mean does. Rows that it has before the box of the classes and the button of the ground truth do. Room beyond those rows before the line about the ground truth is shown, px: it has a gap of its own.
----------
Sizes in px: of a swatch, between swatch and name, between classes, between lines. Longest name in px before it is cut.</extracomment>
        <translation>클래스</translation>
    </message>
    <message>
        <source>View</source>
        <translation>보기</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>모델</translation>
    </message>
    <message>
        <source>Refine</source>
        <translation>정제</translation>
    </message>
    <message>
        <source>Ground truth</source>
        <translation>정답</translation>
    </message>
    <message>
        <source>Window</source>
        <translation>창</translation>
    </message>
    <message>
        <source>Help</source>
        <translation>도움말</translation>
    </message>
    <message>
        <source>Open folder…</source>
        <translation>폴더 열기…</translation>
    </message>
    <message>
        <source>Opens a folder of images, with the labels that you made for them</source>
        <translation>이미지 폴더를 사용자가 만든 라벨과 함께 엽니다</translation>
    </message>
    <message>
        <source>Open video…</source>
        <translation>동영상 열기…</translation>
    </message>
    <message>
        <source>Writes frames of a video as images beside it and opens their folder</source>
        <translation>동영상의 프레임을 옆에 이미지로 저장하고 그 폴더를 엽니다</translation>
    </message>
    <message>
        <source>Open sample project</source>
        <translation>샘플 프로젝트 열기</translation>
    </message>
    <message>
        <source>Opens rendered rooms with ground truth, to try everything without images of your own</source>
        <translation>정답이 있는 렌더링한 방을 엽니다. 자신의 이미지 없이 모든 기능을 시험할 수 있습니다</translation>
    </message>
    <message>
        <source>Rescan folder</source>
        <translation>폴더 다시 검색</translation>
    </message>
    <message>
        <source>Looks for images that were added, changed or removed by other programs</source>
        <translation>다른 프로그램이 추가, 변경 또는 제거한 이미지를 찾습니다</translation>
    </message>
    <message>
        <source>Save now</source>
        <translation>지금 저장</translation>
    </message>
    <message>
        <source>Work is saved as you go; this writes the mask file now</source>
        <translation>작업은 계속 저장됩니다. 이 명령은 마스크 파일을 지금 씁니다</translation>
    </message>
    <message>
        <source>Import labels from a folder…</source>
        <translation>폴더에서 라벨 가져오기…</translation>
    </message>
    <message>
        <source>Masks, labelme, YOLO, CVAT and other formats</source>
        <translation>마스크, labelme, YOLO, CVAT 등의 형식</translation>
    </message>
    <message>
        <source>Import labels from a file…</source>
        <translation>파일에서 라벨 가져오기…</translation>
    </message>
    <message>
        <source>COCO, CVAT, Label Studio, a zip file and others</source>
        <translation>COCO, CVAT, Label Studio, zip 파일 등</translation>
    </message>
    <message>
        <source>Merge with another project…</source>
        <translation>다른 프로젝트와 병합…</translation>
    </message>
    <message>
        <source>Labels of another user for the same images: how far you agree, and one project with the work of both</source>
        <translation>같은 이미지에 다른 사용자가 만든 라벨: 얼마나 일치하는지 보고, 두 사람의 작업을 한 프로젝트로 합칩니다</translation>
    </message>
    <message>
        <source>Export masks…</source>
        <translation>마스크 내보내기…</translation>
    </message>
    <message>
        <source>Writes the masks of the images in a format of your choice</source>
        <translation>이미지의 마스크를 선택한 형식으로 저장합니다</translation>
    </message>
    <message>
        <source>Report of the data set…</source>
        <translation>데이터 세트 보고서…</translation>
    </message>
    <message>
        <source>One page: pixels and images of each class, what is not labelled or reviewed, equal images, tiny regions</source>
        <translation>한 페이지: 클래스별 픽셀과 이미지, 라벨이 없거나 검토되지 않은 것, 같은 이미지, 아주 작은 영역</translation>
    </message>
    <message>
        <source>Settings…</source>
        <translation>설정…</translation>
    </message>
    <message>
        <source>How Atrous looks, works, saves and computes</source>
        <translation>Atrous의 모양, 동작, 저장, 계산 방식</translation>
    </message>
    <message>
        <source>Quit</source>
        <translation>종료</translation>
    </message>
    <message>
        <source>Saves your work and closes the window</source>
        <translation>작업을 저장하고 창을 닫습니다</translation>
    </message>
    <message>
        <source>Undo</source>
        <translation>실행 취소</translation>
    </message>
    <message>
        <source>Takes back the newest step of this image</source>
        <translation>이 이미지의 마지막 단계를 취소합니다</translation>
    </message>
    <message>
        <source>Redo</source>
        <translation>다시 실행</translation>
    </message>
    <message>
        <source>Does the step again that was taken back last</source>
        <translation>마지막으로 취소한 단계를 다시 실행합니다</translation>
    </message>
    <message>
        <source>Undo folder job</source>
        <translation>폴더 작업 실행 취소</translation>
    </message>
    <message>
        <source>Undoes one step of every image that the job changed and that has not changed since</source>
        <translation>작업이 바꾸었고 그 뒤로 바뀌지 않은 모든 이미지에서 한 단계를 되돌립니다</translation>
    </message>
    <message>
        <source>Copy region</source>
        <translation>영역 복사</translation>
    </message>
    <message>
        <source>The connected region of one class under the pointer</source>
        <translation>포인터 아래에서 이어진 한 클래스의 영역</translation>
    </message>
    <message>
        <source>Paste region</source>
        <translation>영역 붙여넣기</translation>
    </message>
    <message>
        <source>At the same place; for images of the same size</source>
        <translation>같은 위치에 붙여넣습니다. 크기가 같은 이미지에만 됩니다</translation>
    </message>
    <message>
        <source>Copy mask of the previous image</source>
        <translation>이전 이미지의 마스크 복사</translation>
    </message>
    <message>
        <source>By the order of the names; one undo step, and the pixels count as yours</source>
        <translation>이름 순서의 이전 이미지입니다. 한 번에 실행 취소할 수 있고, 픽셀은 사용자의 것으로 간주됩니다</translation>
    </message>
    <message>
        <source>Copy what is under the pointer</source>
        <translation>포인터 아래 내용 복사</translation>
    </message>
    <message>
        <source>From the chosen source, with any tool; the tool &apos;Copy from&apos; shows it before</source>
        <translation>선택한 원본에서 복사합니다. 어느 도구에서나 되며, &apos;복사 원본&apos; 도구는 먼저 보여 줍니다</translation>
    </message>
    <message>
        <source>Copy from the prediction</source>
        <translation>예측에서 복사</translation>
    </message>
    <message>
        <source>What the tool &apos;Copy from&apos; takes</source>
        <translation>&apos;복사 원본&apos; 도구가 가져올 내용</translation>
    </message>
    <message>
        <source>Copy from another model</source>
        <translation>다른 모델에서 복사</translation>
    </message>
    <message>
        <source>One that is compared or a kept prediction; again: the next one</source>
        <translation>비교 중인 모델이나 보관된 예측입니다. 다시 누르면 다음 것을 고릅니다</translation>
    </message>
    <message>
        <source>Copy from the ground truth</source>
        <translation>정답에서 복사</translation>
    </message>
    <message>
        <source>Where it is not void</source>
        <translation>void가 아닌 곳만</translation>
    </message>
    <message>
        <source>Copy from the previous image</source>
        <translation>이전 이미지에서 복사</translation>
    </message>
    <message>
        <source>At the same position, if it has the same size</source>
        <translation>크기가 같으면 같은 위치에서</translation>
    </message>
    <message>
        <source>Copy regions of the image</source>
        <translation>이미지의 영역 단위로 복사</translation>
    </message>
    <message>
        <source>A click takes what lies inside the region under the pointer, and not the component of the source</source>
        <translation>클릭하면 원본의 연결 성분이 아니라 포인터 아래 영역 안의 내용을 가져옵니다</translation>
    </message>
    <message>
        <source>Write a note…</source>
        <translation>메모 작성…</translation>
    </message>
    <message>
        <source>About the error that is shown, else the pixel under the pointer, else the whole image</source>
        <translation>표시된 오류에 대해, 없으면 포인터 아래 픽셀, 그것도 없으면 이미지 전체에 대해 씁니다</translation>
    </message>
    <message>
        <source>List the notes…</source>
        <translation>메모 목록…</translation>
    </message>
    <message>
        <source>All notes of the folder; open, change or delete them</source>
        <translation>폴더의 모든 메모를 열고 고치고 삭제합니다</translation>
    </message>
    <message>
        <source>Replace mask by prediction</source>
        <translation>마스크를 예측으로 바꾸기</translation>
    </message>
    <message>
        <source>Replaces the whole mask by the prediction; one undo step</source>
        <translation>마스크 전체를 예측으로 바꿉니다. 한 번에 실행 취소할 수 있습니다</translation>
    </message>
    <message>
        <source>Replace mask by ground truth</source>
        <translation>마스크를 정답으로 바꾸기</translation>
    </message>
    <message>
        <source>Replaces the whole mask by the ground truth; one undo step</source>
        <translation>마스크 전체를 정답으로 바꿉니다. 한 번에 실행 취소할 수 있습니다</translation>
    </message>
    <message>
        <source>Replace mask by file…</source>
        <translation>마스크를 파일로 바꾸기…</translation>
    </message>
    <message>
        <source>Replaces the whole mask by a file; one undo step</source>
        <translation>마스크 전체를 파일로 바꿉니다. 한 번에 실행 취소할 수 있습니다</translation>
    </message>
    <message>
        <source>Clear mask</source>
        <translation>마스크 지우기</translation>
    </message>
    <message>
        <source>Everything becomes unlabelled; one undo step</source>
        <translation>모든 픽셀이 라벨 없음이 됩니다. 한 번에 실행 취소할 수 있습니다</translation>
    </message>
    <message>
        <source>Start this image over…</source>
        <translation>이 이미지 처음부터 다시…</translation>
    </message>
    <message>
        <source>Deletes labels, undo steps and status of the image; its mask file is kept beside the others</source>
        <translation>이 이미지의 라벨, 실행 취소 단계, 상태를 삭제합니다. 마스크 파일은 다른 파일 옆에 보관됩니다</translation>
    </message>
    <message>
        <source>Apply the new prediction</source>
        <translation>새 예측 적용</translation>
    </message>
    <message>
        <source>Updates the mask; pixels that you painted or filled do not change</source>
        <translation>마스크를 갱신합니다. 칠하거나 채운 픽셀은 바뀌지 않습니다</translation>
    </message>
    <message>
        <source>Keep current mask</source>
        <translation>현재 마스크 유지</translation>
    </message>
    <message>
        <source>Drops the new prediction; no label changes</source>
        <translation>새 예측을 버립니다. 라벨은 바뀌지 않습니다</translation>
    </message>
    <message>
        <source>Next image</source>
        <translation>다음 이미지</translation>
    </message>
    <message>
        <source>Opens the image below this one in the list</source>
        <translation>목록에서 아래 이미지를 엽니다</translation>
    </message>
    <message>
        <source>Previous image</source>
        <extracomment>Ids of the commands that lead to another image, with what their buttons say.</extracomment>
        <translation>이전 이미지</translation>
    </message>
    <message>
        <source>Opens the image above this one in the list</source>
        <translation>목록에서 위 이미지를 엽니다</translation>
    </message>
    <message>
        <source>Next unreviewed image</source>
        <translation>검토 안 된 다음 이미지</translation>
    </message>
    <message>
        <source>Opens the next image that is neither reviewed nor rejected</source>
        <translation>검토 완료도 제외도 아닌 다음 이미지를 엽니다</translation>
    </message>
    <message>
        <source>Previous unreviewed image</source>
        <translation>검토 안 된 이전 이미지</translation>
    </message>
    <message>
        <source>Opens the last image before this one that is neither reviewed nor rejected</source>
        <translation>검토 완료도 제외도 아닌 이전 이미지를 엽니다</translation>
    </message>
    <message>
        <source>Next worst image</source>
        <translation>다음으로 나쁜 이미지</translation>
    </message>
    <message>
        <source>The unreviewed image with the lowest IoU; without ground truth, the least certain one</source>
        <translation>검토 안 된 이미지 중 IoU가 가장 낮은 것. 정답이 없으면 가장 불확실한 것</translation>
    </message>
    <message>
        <source>Next error in this image</source>
        <translation>이 이미지의 다음 오류</translation>
    </message>
    <message>
        <source>The one that gains most if it is fixed; without ground truth, the most doubtful one</source>
        <translation>고치면 가장 많이 좋아지는 오류. 정답이 없으면 가장 의심스러운 곳</translation>
    </message>
    <message>
        <source>Give the error the selected class</source>
        <translation>오류에 선택한 클래스 지정</translation>
    </message>
    <message>
        <source>With ground truth the right class is selected</source>
        <translation>정답이 있으면 맞는 클래스가 선택됩니다</translation>
    </message>
    <message>
        <source>Restore the error to the prediction</source>
        <translation>오류를 예측으로 되돌리기</translation>
    </message>
    <message>
        <source>Its pixels get the labels of the prediction again</source>
        <translation>오류의 픽셀이 다시 예측의 라벨을 받습니다</translation>
    </message>
    <message>
        <source>Filter the images…</source>
        <translation>이미지 필터…</translation>
    </message>
    <message>
        <source>By name, class, status, note, score; Enter opens the first match</source>
        <translation>이름, 클래스, 상태, 메모, 점수로 거릅니다. Enter를 누르면 첫 결과가 열립니다</translation>
    </message>
    <message>
        <source>Reviewed, next</source>
        <translation>검토 완료, 다음</translation>
    </message>
    <message>
        <source>Marks this image reviewed and opens the next unreviewed one</source>
        <translation>이 이미지를 검토 완료로 표시하고 검토 안 된 다음 이미지를 엽니다</translation>
    </message>
    <message>
        <source>Reviewed</source>
        <translation>검토 완료</translation>
    </message>
    <message>
        <source>Marks this image reviewed and stays on it; again: the mark is taken away</source>
        <translation>이 이미지를 검토 완료로 표시하고 그대로 둡니다. 다시 누르면 표시를 지웁니다</translation>
    </message>
    <message>
        <source>Reject this image…</source>
        <translation>이 이미지 반려…</translation>
    </message>
    <message>
        <source>Asks why and opens the next one; exports leave it out. Again: it is no longer rejected</source>
        <translation>이유를 묻고 다음 이미지를 엽니다. 내보내기에서 빠집니다. 다시 누르면 반려가 취소됩니다</translation>
    </message>
    <message>
        <source>Progress by day…</source>
        <translation>일별 진행 상황…</translation>
    </message>
    <message>
        <source>Images reviewed, actions and active time of each day; as CSV, too</source>
        <translation>날짜별 검토한 이미지, 동작 수, 실제 작업 시간. CSV로도 저장됩니다</translation>
    </message>
    <message>
        <source>Confirm mask for changed file</source>
        <translation>변경된 파일의 마스크 확인</translation>
    </message>
    <message>
        <source>Confirms that the mask still fits: the image is no longer listed as changed</source>
        <translation>마스크가 여전히 맞음을 확인합니다. 이미지가 더 이상 변경됨으로 표시되지 않습니다</translation>
    </message>
    <message>
        <source>Lasso snaps to edges</source>
        <translation>올가미를 가장자리에 맞춤</translation>
    </message>
    <message>
        <source>The outline moves to the edges of the image while you draw it</source>
        <translation>그리는 동안 윤곽이 이미지의 가장자리로 이동합니다</translation>
    </message>
    <message>
        <source>Larger brush</source>
        <translation>브러시 크게</translation>
    </message>
    <message>
        <source>The brush grows by a step; Shift+wheel does the same</source>
        <translation>브러시가 한 단계 커집니다. Shift+휠도 같습니다</translation>
    </message>
    <message>
        <source>Smaller brush</source>
        <translation>브러시 작게</translation>
    </message>
    <message>
        <source>The brush shrinks by a step; Shift+wheel does the same</source>
        <translation>브러시가 한 단계 작아집니다. Shift+휠도 같습니다</translation>
    </message>
    <message>
        <source>Paint only over the class where a stroke begins</source>
        <translation>획이 시작된 클래스 위에만 칠하기</translation>
    </message>
    <message>
        <source>Brush, eraser, lasso and polygon change nothing else</source>
        <translation>브러시, 지우개, 올가미, 다각형이 다른 것을 바꾸지 않습니다</translation>
    </message>
    <message>
        <source>Paint only over the class under the pointer</source>
        <translation>포인터 아래 클래스 위에만 칠하기</translation>
    </message>
    <message>
        <source>Adds it to the classes that may be painted over, or takes it out; kept with the project</source>
        <translation>덮어 칠할 수 있는 클래스에 더하거나 뺍니다. 프로젝트와 함께 저장됩니다</translation>
    </message>
    <message>
        <source>Paint over all classes</source>
        <translation>모든 클래스 위에 칠하기</translation>
    </message>
    <message>
        <source>Only some classes may be painted over now</source>
        <translation>지금은 일부 클래스만 덮어 칠할 수 있습니다</translation>
    </message>
    <message>
        <source>Paint only inside the trimap band</source>
        <translation>트라이맵 밴드 안에만 칠하기</translation>
    </message>
    <message>
        <source>The band of the Trimap band view, as wide as it is shown; no tool changes other pixels</source>
        <translation>트라이맵 밴드 뷰에 보이는 너비의 밴드입니다. 어떤 도구도 다른 픽셀을 바꾸지 않습니다</translation>
    </message>
    <message>
        <source>Paint only outside the trimap band</source>
        <translation>트라이맵 밴드 밖에만 칠하기</translation>
    </message>
    <message>
        <source>The band of the Trimap band view, as wide as it is shown; no tool changes its pixels</source>
        <translation>트라이맵 밴드 뷰에 보이는 너비의 밴드입니다. 어떤 도구도 그 픽셀을 바꾸지 않습니다</translation>
    </message>
    <message>
        <source>Give the error or component its second guess</source>
        <translation>오류나 성분에 2순위 클래스 지정</translation>
    </message>
    <message>
        <source>The class that the network finds most likely after the present one; Shift+click does the same</source>
        <translation>네트워크가 현재 클래스 다음으로 가능성이 높다고 보는 클래스입니다. Shift+클릭도 같습니다</translation>
    </message>
    <message>
        <source>Give the error or component to its surroundings</source>
        <translation>오류나 성분을 주변 클래스로 바꾸기</translation>
    </message>
    <message>
        <source>The class that touches it most replaces it</source>
        <translation>가장 많이 맞닿은 클래스가 대신 들어갑니다</translation>
    </message>
    <message>
        <source>Drop islands…</source>
        <translation>작은 조각 제거…</translation>
    </message>
    <message>
        <source>Small components go to the class around them</source>
        <translation>작은 성분이 주변 클래스로 바뀝니다</translation>
    </message>
    <message>
        <source>Fill holes…</source>
        <translation>구멍 채우기…</translation>
    </message>
    <message>
        <source>Small areas inside of a class get its class</source>
        <translation>클래스 안의 작은 구역이 그 클래스가 됩니다</translation>
    </message>
    <message>
        <source>Keep the largest component…</source>
        <translation>가장 큰 성분만 남기기…</translation>
    </message>
    <message>
        <source>The other components go to the classes around them</source>
        <translation>나머지 성분은 주변 클래스로 바뀝니다</translation>
    </message>
    <message>
        <source>Grow a class…</source>
        <translation>클래스 넓히기…</translation>
    </message>
    <message>
        <source>By some px, everywhere or one component</source>
        <translation>몇 px만큼, 전체 또는 한 성분만</translation>
    </message>
    <message>
        <source>Shrink a class…</source>
        <translation>클래스 좁히기…</translation>
    </message>
    <message>
        <source>By some px; what it loses takes the nearest class</source>
        <translation>몇 px만큼. 줄어든 자리는 가장 가까운 클래스가 차지합니다</translation>
    </message>
    <message>
        <source>Smooth an outline…</source>
        <translation>윤곽 다듬기…</translation>
    </message>
    <message>
        <source>Removes teeth and thin parts</source>
        <translation>톱니와 가는 부분을 없앱니다</translation>
    </message>
    <message>
        <source>Class with the key {key}</source>
        <extracomment>Keys of the class dock in their order on the keyboard.</extracomment>
        <translation>{key} 키의 클래스</translation>
    </message>
    <message>
        <source>Brush, fill and the other tools give this class from now on</source>
        <translation>이제부터 브러시, 채우기 등 모든 도구가 이 클래스를 줍니다</translation>
    </message>
    <message>
        <source>Unlabelled (void)</source>
        <translation>라벨 없음(void)</translation>
    </message>
    <message>
        <source>Tools take labels away: pixels become unlabelled</source>
        <translation>도구가 라벨을 지웁니다. 픽셀이 라벨 없음이 됩니다</translation>
    </message>
    <message>
        <source>Previous class</source>
        <translation>이전 클래스</translation>
    </message>
    <message>
        <source>Selects the class above in the list</source>
        <translation>목록에서 위 클래스를 선택합니다</translation>
    </message>
    <message>
        <source>Next class</source>
        <translation>다음 클래스</translation>
    </message>
    <message>
        <source>Selects the class below in the list</source>
        <translation>목록에서 아래 클래스를 선택합니다</translation>
    </message>
    <message>
        <source>Swap the last two classes</source>
        <translation>마지막 두 클래스 바꾸기</translation>
    </message>
    <message>
        <source>Selects the class again that was selected before</source>
        <translation>바로 전에 선택했던 클래스를 다시 선택합니다</translation>
    </message>
    <message>
        <source>Find a class…</source>
        <translation>클래스 찾기…</translation>
    </message>
    <message>
        <source>Type letters of a name to select its class</source>
        <translation>이름의 글자를 입력해 클래스를 선택합니다</translation>
    </message>
    <message>
        <source>Show all classes</source>
        <translation>모든 클래스 표시</translation>
    </message>
    <message>
        <source>Shows classes again that you have hidden</source>
        <translation>숨긴 클래스를 다시 표시합니다</translation>
    </message>
    <message>
        <source>Edit classes…</source>
        <translation>클래스 편집…</translation>
    </message>
    <message>
        <source>Add, rename, recolour, reorder, merge and delete classes</source>
        <translation>클래스를 추가하고, 이름과 색, 순서를 바꾸고, 병합하고, 삭제합니다</translation>
    </message>
    <message>
        <source>Undo the edit of the classes</source>
        <translation>클래스 편집 실행 취소</translation>
    </message>
    <message>
        <source>Take the newest edit of the classes back, with the undo steps from before it</source>
        <translation>가장 최근의 클래스 편집을 되돌립니다. 편집 전의 실행 취소 단계도 돌아옵니다</translation>
    </message>
    <message>
        <source>Show masks</source>
        <translation>마스크 표시</translation>
    </message>
    <message>
        <source>Shows or hides the colours of the classes on the image</source>
        <translation>이미지 위의 클래스 색을 표시하거나 숨깁니다</translation>
    </message>
    <message>
        <source>Contours</source>
        <translation>윤곽선</translation>
    </message>
    <message>
        <source>Shows or hides the outlines of regions</source>
        <translation>영역의 윤곽선을 표시하거나 숨깁니다</translation>
    </message>
    <message>
        <source>Class names</source>
        <translation>클래스 이름</translation>
    </message>
    <message>
        <source>On large regions and on the one under the pointer; hidden while you paint</source>
        <translation>큰 영역과 포인터 아래 영역에 표시합니다. 칠하는 동안 숨깁니다</translation>
    </message>
    <message>
        <source>The colours of the classes cover more of the image</source>
        <translation>클래스 색이 이미지를 더 많이 덮습니다</translation>
    </message>
    <message>
        <source>The colours of the classes cover less of the image</source>
        <translation>클래스 색이 이미지를 더 적게 덮습니다</translation>
    </message>
    <message>
        <source>Blink to the prediction</source>
        <translation>예측과 번갈아 보기</translation>
    </message>
    <message>
        <source>Hold the key to see the prediction instead of the mask</source>
        <translation>키를 누르고 있는 동안 마스크 대신 예측을 봅니다</translation>
    </message>
    <message>
        <source>Trimap band</source>
        <translation>트라이맵 밴드</translation>
    </message>
    <message>
        <source>A view of the pixels near boundaries, where the trimap curve is measured</source>
        <translation>트라이맵 곡선을 재는 경계 근처 픽셀을 보여 줍니다</translation>
    </message>
    <message>
        <source>Uncertainty</source>
        <translation>불확실도</translation>
    </message>
    <message>
        <source>A view of how sure the model is of each pixel</source>
        <translation>모델이 각 픽셀을 얼마나 확신하는지 보여 줍니다</translation>
    </message>
    <message>
        <source>Errors against the ground truth</source>
        <translation>정답 대비 오류</translation>
    </message>
    <message>
        <source>A view of the pixels where mask and ground truth differ, by kind of error</source>
        <translation>마스크와 정답이 다른 픽셀을 오류 종류별로 보여 줍니다</translation>
    </message>
    <message>
        <source>Linked views</source>
        <translation>연결된 뷰</translation>
    </message>
    <message>
        <source>Switches between one view and the last layout</source>
        <translation>뷰 하나와 마지막 배치 사이를 전환합니다</translation>
    </message>
    <message>
        <source>One view</source>
        <translation>뷰 1개</translation>
    </message>
    <message>
        <source>The mask takes the whole place of the image</source>
        <translation>마스크를 뷰 하나에 크게 보여 줍니다</translation>
    </message>
    <message>
        <source>Two views</source>
        <translation>뷰 2개</translation>
    </message>
    <message>
        <source>Two views side by side; zoom and position are the same in both</source>
        <translation>두 뷰를 나란히 보여 줍니다. 확대와 위치는 같습니다</translation>
    </message>
    <message>
        <source>Three views</source>
        <translation>뷰 3개</translation>
    </message>
    <message>
        <source>Three views side by side; zoom and position are the same in all</source>
        <translation>세 뷰를 나란히 보여 줍니다. 확대와 위치는 모두 같습니다</translation>
    </message>
    <message>
        <source>Four views</source>
        <translation>뷰 4개</translation>
    </message>
    <message>
        <source>Four views in two rows; zoom and position are the same in all</source>
        <translation>네 뷰를 두 줄로 보여 줍니다. 확대와 위치는 모두 같습니다</translation>
    </message>
    <message>
        <source>Split slider</source>
        <translation>분할 슬라이더</translation>
    </message>
    <message>
        <source>Two views on top of each other; drag the line between them</source>
        <translation>두 뷰를 겹쳐 보여 줍니다. 사이의 선을 끄세요</translation>
    </message>
    <message>
        <source>Fit</source>
        <translation>맞추기</translation>
    </message>
    <message>
        <source>Shows the whole image</source>
        <translation>이미지 전체를 보여 줍니다</translation>
    </message>
    <message>
        <source>100 %</source>
        <translation>100 %</translation>
    </message>
    <message>
        <source>Shows each pixel of the image as one pixel of the screen</source>
        <translation>이미지의 픽셀 하나를 화면의 픽셀 하나로 보여 줍니다</translation>
    </message>
    <message>
        <source>Zoom in</source>
        <translation>확대</translation>
    </message>
    <message>
        <source>Shows the middle of the view larger; the wheel zooms at the pointer</source>
        <translation>가운데를 더 크게 보여 줍니다. 휠은 포인터 위치를 확대합니다</translation>
    </message>
    <message>
        <source>Zoom out</source>
        <translation>축소</translation>
    </message>
    <message>
        <source>Shows more of the image; the wheel zooms at the pointer</source>
        <translation>이미지를 더 넓게 보여 줍니다. 휠은 포인터 위치에서 축소합니다</translation>
    </message>
    <message>
        <source>Keep zoom between images</source>
        <translation>이미지 사이에서 확대/축소 유지</translation>
    </message>
    <message>
        <source>The next image opens at the same zoom and position</source>
        <translation>다음 이미지가 같은 확대와 위치로 열립니다</translation>
    </message>
    <message>
        <source>Brightness and contrast…</source>
        <translation>밝기와 대비…</translation>
    </message>
    <message>
        <source>Of the image as it is shown, with gamma; labels, predictions and exports do not change</source>
        <translation>화면에 보이는 이미지의 밝기, 대비, 감마입니다. 라벨, 예측, 내보내기는 바뀌지 않습니다</translation>
    </message>
    <message>
        <source>Changes what you see of the image, and no label</source>
        <translation>이미지의 표시만 바꾸고 라벨은 바꾸지 않습니다</translation>
    </message>
    <message>
        <source>Brighter view</source>
        <translation>화면 더 밝게</translation>
    </message>
    <message>
        <source>Darker view</source>
        <translation>화면 더 어둡게</translation>
    </message>
    <message>
        <source>More contrast</source>
        <translation>대비 높이기</translation>
    </message>
    <message>
        <source>Less contrast</source>
        <translation>대비 낮추기</translation>
    </message>
    <message>
        <source>Brighter dark parts</source>
        <translation>어두운 부분 더 밝게</translation>
    </message>
    <message>
        <source>Darker dark parts</source>
        <translation>어두운 부분 더 어둡게</translation>
    </message>
    <message>
        <source>Show the image as it is</source>
        <translation>이미지를 원래대로 표시</translation>
    </message>
    <message>
        <source>Ends brightness, contrast and gamma of the view</source>
        <translation>뷰의 밝기, 대비, 감마를 해제합니다</translation>
    </message>
    <message>
        <source>Open a model file…</source>
        <translation>모델 파일 열기…</translation>
    </message>
    <message>
        <source>Loads a network from a file, for predictions of this project</source>
        <translation>이 프로젝트의 예측에 쓸 네트워크를 파일에서 불러옵니다</translation>
    </message>
    <message>
        <source>Get a model…</source>
        <translation>모델 받기…</translation>
    </message>
    <message>
        <source>Networks published by their authors, with licence, classes and published score</source>
        <translation>저자가 공개한 네트워크와 라이선스, 클래스, 공개된 점수</translation>
    </message>
    <message>
        <source>Open a click network…</source>
        <translation>클릭 네트워크 열기…</translation>
    </message>
    <message>
        <source>One ONNX file, or encoder and decoder: what the Clicks tool asks</source>
        <translation>ONNX 파일 하나, 또는 인코더와 디코더: 클릭 도구가 사용합니다</translation>
    </message>
    <message>
        <source>Model options…</source>
        <translation>모델 옵션…</translation>
    </message>
    <message>
        <source>Settings that the weights file does not contain: stride, rates, input; with their sources</source>
        <translation>가중치 파일에 없는 설정: 스트라이드, 팽창률, 입력과 그 출처</translation>
    </message>
    <message>
        <source>Run on this image</source>
        <translation>이 이미지에 실행</translation>
    </message>
    <message>
        <source>Predicts labels for this image; pixels that you painted stay</source>
        <translation>이 이미지의 라벨을 예측합니다. 사용자가 칠한 픽셀은 그대로입니다</translation>
    </message>
    <message>
        <source>Run on folder</source>
        <translation>폴더에 실행</translation>
    </message>
    <message>
        <source>Predicts labels for all images of the folder; edited masks get a suggestion</source>
        <translation>폴더의 모든 이미지의 라벨을 예측합니다. 편집한 마스크는 제안을 받습니다</translation>
    </message>
    <message>
        <source>Cancel running job</source>
        <translation>실행 중인 작업 취소</translation>
    </message>
    <message>
        <source>Stops the job that is running; what is finished stays</source>
        <translation>실행 중인 작업을 멈춥니다. 끝난 것은 그대로입니다</translation>
    </message>
    <message>
        <source>Restart the model process</source>
        <translation>모델 프로세스 다시 시작</translation>
    </message>
    <message>
        <source>Ends and restarts the compute process; masks do not change</source>
        <translation>계산 프로세스를 끝내고 다시 시작합니다. 마스크는 바뀌지 않습니다</translation>
    </message>
    <message>
        <source>Learn from corrections…</source>
        <translation>수정한 내용에서 학습…</translation>
    </message>
    <message>
        <source>Adapts the model to your corrections in the background; compare before and after, then decide</source>
        <translation>백그라운드에서 모델을 수정한 내용에 적응시킵니다. 전후를 비교한 뒤 결정하세요</translation>
    </message>
    <message>
        <source>Review learned model…</source>
        <translation>학습한 모델 검토…</translation>
    </message>
    <message>
        <source>Before and after; accept or discard</source>
        <translation>전과 후를 보고 적용하거나 버립니다</translation>
    </message>
    <message>
        <source>Compare models</source>
        <translation>모델 비교</translation>
    </message>
    <message>
        <source>Two to four models side by side: differences, IoU, trimap curves and time; the mask does not change</source>
        <translation>모델 두 개에서 네 개를 나란히: 차이, IoU, 트라이맵 곡선, 시간. 마스크는 바뀌지 않습니다</translation>
    </message>
    <message>
        <source>Compare with a model file…</source>
        <translation>모델 파일과 비교…</translation>
    </message>
    <message>
        <source>Adds the network of a file to the models that are compared</source>
        <translation>파일의 네트워크를 비교하는 모델에 추가합니다</translation>
    </message>
    <message>
        <source>Compare on folder</source>
        <translation>폴더에서 비교</translation>
    </message>
    <message>
        <source>Pooled metrics of each model, and the images on which they differ most</source>
        <translation>각 모델의 통합 지표와 가장 많이 다른 이미지</translation>
    </message>
    <message>
        <source>Compare all models on folder</source>
        <translation>모든 모델을 폴더에서 비교</translation>
    </message>
    <message>
        <source>Every installed model with the classes of the one in use, four at most</source>
        <translation>현재 모델과 클래스가 같은 설치된 모델, 최대 네 개</translation>
    </message>
    <message>
        <source>Receptive field under the pointer</source>
        <translation>포인터 아래의 수용 영역</translation>
    </message>
    <message>
        <source>Pixels that a label depends on: boxes from the layer geometry, heat from the gradient</source>
        <translation>한 라벨이 의존하는 픽셀: 상자는 층의 구조에서, 열지도는 기울기에서 나옵니다</translation>
    </message>
    <message>
        <source>More like this</source>
        <extracomment>Kind of the project&apos;s results that holds the vectors of an image; a new number where they mean something else than before.
----------
Images that are listed.</extracomment>
        <translation>비슷한 이미지</translation>
    </message>
    <message>
        <source>Images in the order of how alike the model&apos;s encoder finds them: like the open error, or what the Components or Regions tool points at, or the whole image</source>
        <translation>모델의 인코더가 비슷하게 보는 순서의 이미지: 열린 오류, 성분 도구나 영역 도구가 가리키는 것, 또는 이미지 전체와 비교</translation>
    </message>
    <message>
        <source>Match model classes…</source>
        <translation>모델 클래스 연결…</translation>
    </message>
    <message>
        <source>Project class for each class of the model</source>
        <translation>모델의 클래스마다 프로젝트 클래스를 지정합니다</translation>
    </message>
    <message>
        <source>CRF preview</source>
        <translation>CRF 미리보기</translation>
    </message>
    <message>
        <source>Shows the effect of the CRF on the mask; nothing changes until you apply it. Hold the blink key to see the current mask</source>
        <translation>CRF가 마스크에 미치는 효과를 보여 줍니다. 적용하기 전에는 바뀌지 않습니다. 번갈아 보기 키를 누르고 있으면 현재 마스크가 보입니다</translation>
    </message>
    <message>
        <source>Split mask and preview</source>
        <translation>마스크와 미리보기 나누어 보기</translation>
    </message>
    <message>
        <source>Mask and preview on top of each other; drag the line between them</source>
        <translation>마스크와 미리보기를 겹쳐 보여 줍니다. 사이의 선을 끄세요</translation>
    </message>
    <message>
        <source>Pixels changed by the CRF</source>
        <translation>CRF가 바꾼 픽셀</translation>
    </message>
    <message>
        <source>A view of the pixels to which the CRF gives another class</source>
        <translation>CRF가 다른 클래스를 주는 픽셀을 보여 줍니다</translation>
    </message>
    <message>
        <source>Apply to this image</source>
        <translation>이 이미지에 적용</translation>
    </message>
    <message>
        <source>One undo step; your own pixels stay</source>
        <translation>한 번에 실행 취소할 수 있고, 사용자의 픽셀은 그대로입니다</translation>
    </message>
    <message>
        <source>Apply in trimap band only</source>
        <translation>트라이맵 밴드 안에만 적용</translation>
    </message>
    <message>
        <source>Only pixels near boundaries change; one undo step</source>
        <translation>경계 근처 픽셀만 바뀝니다. 한 번에 실행 취소할 수 있습니다</translation>
    </message>
    <message>
        <source>Apply inside an outline</source>
        <translation>윤곽 안에 적용</translation>
    </message>
    <message>
        <source>Lasso and polygon refine their inside instead of filling it, until you turn this off</source>
        <translation>끌 때까지 올가미와 다각형이 안쪽을 채우는 대신 정제합니다</translation>
    </message>
    <message>
        <source>Apply to the folder</source>
        <translation>폴더에 적용</translation>
    </message>
    <message>
        <source>Edited masks get a suggestion, the others one undo step each</source>
        <translation>편집한 마스크는 제안을 받고, 나머지는 각각 한 단계로 실행 취소할 수 있습니다</translation>
    </message>
    <message>
        <source>Discard preview</source>
        <translation>미리보기 버리기</translation>
    </message>
    <message>
        <source>Ends the preview; the mask stays as it is</source>
        <translation>미리보기를 끝냅니다. 마스크는 그대로입니다</translation>
    </message>
    <message>
        <source>Scribble mode</source>
        <translation>스크리블 모드</translation>
    </message>
    <message>
        <source>The CRF refines every stroke to the image&apos;s edges; both are one undo step</source>
        <translation>CRF가 획마다 이미지의 가장자리에 맞추어 정제합니다. 둘은 함께 한 단계로 실행 취소됩니다</translation>
    </message>
    <message>
        <source>Refine the mask itself</source>
        <translation>마스크 자체를 정제</translation>
    </message>
    <message>
        <source>Without a network: refines the current labels to the image&apos;s edges</source>
        <translation>네트워크 없이 현재 라벨을 이미지의 가장자리에 맞추어 정제합니다</translation>
    </message>
    <message>
        <source>Open CRF parameters…</source>
        <translation>CRF 매개변수 열기…</translation>
    </message>
    <message>
        <source>Report written by &apos;atrous refine --search&apos;</source>
        <translation>&apos;atrous refine --search&apos;가 쓴 보고서</translation>
    </message>
    <message>
        <source>Choose ground truth…</source>
        <translation>정답 선택…</translation>
    </message>
    <message>
        <source>Folder of the masks that metrics are computed against</source>
        <translation>지표를 계산할 때 기준이 되는 마스크 폴더</translation>
    </message>
    <message>
        <source>Find ground truth near the images</source>
        <translation>이미지 근처에서 정답 찾기</translation>
    </message>
    <message>
        <source>Looks for folders of masks whose names fit those of the images</source>
        <translation>이름이 이미지와 맞는 마스크 폴더를 찾습니다</translation>
    </message>
    <message>
        <source>Mask orientation…</source>
        <translation>마스크 방향…</translation>
    </message>
    <message>
        <source>Shows an image with EXIF orientation and its mask in both orientations</source>
        <translation>EXIF 방향이 있는 이미지와 그 마스크를 두 방향으로 보여 줍니다</translation>
    </message>
    <message>
        <source>Evaluate folder</source>
        <translation>폴더 평가</translation>
    </message>
    <message>
        <source>Per-class IoU and trimap curve over all images with ground truth and a mask</source>
        <translation>정답과 마스크가 있는 모든 이미지의 클래스별 IoU와 트라이맵 곡선</translation>
    </message>
    <message>
        <source>Evaluation panel</source>
        <translation>평가 패널</translation>
    </message>
    <message>
        <source>Confusion matrix, kinds of failure, rankings and plots; every number leads to its pixels</source>
        <translation>혼동 행렬, 오류 종류, 순위, 그래프. 모든 수치에서 해당 픽셀로 갈 수 있습니다</translation>
    </message>
    <message>
        <source>Next error</source>
        <translation>다음 오류</translation>
    </message>
    <message>
        <source>Opens the error after this one in the list of the Evaluation panel</source>
        <translation>평가 패널 목록에서 다음 오류를 엽니다</translation>
    </message>
    <message>
        <source>Previous error</source>
        <translation>이전 오류</translation>
    </message>
    <message>
        <source>Opens the error before this one in the list of the Evaluation panel</source>
        <translation>평가 패널 목록에서 이전 오류를 엽니다</translation>
    </message>
    <message>
        <source>Mark error as ambiguous</source>
        <translation>오류를 모호함으로 표시</translation>
    </message>
    <message>
        <source>Excludes the error under the pointer from all metrics; mask and ground truth do not change</source>
        <translation>포인터 아래 오류를 모든 지표에서 제외합니다. 마스크와 정답은 바뀌지 않습니다</translation>
    </message>
    <message>
        <source>Mark outline as ambiguous</source>
        <translation>윤곽을 모호함으로 표시</translation>
    </message>
    <message>
        <source>Draw around what cannot be decided, with lasso or polygon</source>
        <translation>판단할 수 없는 곳을 올가미나 다각형으로 둘러 그리세요</translation>
    </message>
    <message>
        <source>Clear ambiguity mark</source>
        <translation>모호함 표시 지우기</translation>
    </message>
    <message>
        <source>Clears the mark under the pointer</source>
        <translation>포인터 아래의 표시를 지웁니다</translation>
    </message>
    <message>
        <source>Skipped ground truth files…</source>
        <translation>건너뛴 정답 파일…</translation>
    </message>
    <message>
        <source>Lists files that could not be used as ground truth, with the reasons</source>
        <translation>정답으로 쓸 수 없었던 파일과 그 이유를 보여 줍니다</translation>
    </message>
    <message>
        <source>Hide panels</source>
        <translation>패널 숨기기</translation>
    </message>
    <message>
        <source>The image takes the whole window; again: the panels come back</source>
        <translation>이미지가 창 전체를 씁니다. 다시 누르면 패널이 돌아옵니다</translation>
    </message>
    <message>
        <source>Focus next panel</source>
        <translation>다음 패널로 이동</translation>
    </message>
    <message>
        <source>Tab moves within the panel; Esc returns to the image</source>
        <translation>Tab은 패널 안에서 이동하고, Esc는 이미지로 돌아갑니다</translation>
    </message>
    <message>
        <source>Focus previous panel</source>
        <translation>이전 패널로 이동</translation>
    </message>
    <message>
        <source>Images</source>
        <translation>이미지</translation>
    </message>
    <message>
        <source>The panel with the images of the folder and their statuses</source>
        <translation>폴더의 이미지와 상태가 있는 패널</translation>
    </message>
    <message>
        <source>The panel with the classes, their keys and scores</source>
        <translation>클래스와 키, 점수가 있는 패널</translation>
    </message>
    <message>
        <source>The panel with the network in use, its classes and settings</source>
        <translation>사용 중인 네트워크와 그 클래스, 설정이 있는 패널</translation>
    </message>
    <message>
        <source>CRF</source>
        <translation>CRF</translation>
    </message>
    <message>
        <source>The panel that moves outlines to the edges of the image</source>
        <translation>윤곽선을 이미지의 가장자리로 옮기는 패널</translation>
    </message>
    <message>
        <source>Trimap curve</source>
        <translation>트라이맵 곡선</translation>
    </message>
    <message>
        <source>The panel with the IoU near boundaries over the width of the band</source>
        <translation>밴드 너비에 따른 경계 근처 IoU가 있는 패널</translation>
    </message>
    <message>
        <source>History</source>
        <translation>작업 기록</translation>
    </message>
    <message>
        <source>The panel with the steps of this image; click one to go back to it</source>
        <translation>이 이미지의 단계가 있는 패널. 클릭하면 그 단계로 돌아갑니다</translation>
    </message>
    <message>
        <source>Dark theme</source>
        <translation>어두운 테마</translation>
    </message>
    <message>
        <source>Switches between dark and light colours</source>
        <translation>어두운 색과 밝은 색을 전환합니다</translation>
    </message>
    <message>
        <source>Reset layout</source>
        <translation>배치 초기화</translation>
    </message>
    <message>
        <source>Panels get back their first places and sizes</source>
        <translation>패널이 처음 위치와 크기로 돌아갑니다</translation>
    </message>
    <message>
        <source>Guided tour</source>
        <translation>둘러보기</translation>
    </message>
    <message>
        <source>Two minutes on the sample project: find an error, correct it, watch the IoU, export</source>
        <translation>샘플 프로젝트에서 2분: 오류를 찾고, 고치고, IoU를 보고, 내보냅니다</translation>
    </message>
    <message>
        <source>Keyboard shortcuts</source>
        <extracomment>Order of the groups, read down the columns. Margins and scroll bar beside the columns. The second key Enter of a keyboard; the first one stands for both.</extracomment>
        <translation>키보드 단축키</translation>
    </message>
    <message>
        <source>All keys and mouse actions on one page</source>
        <translation>모든 키와 마우스 동작을 한 화면에 보여 줍니다</translation>
    </message>
    <message>
        <source>All commands…</source>
        <translation>모든 명령…</translation>
    </message>
    <message>
        <source>Find a command by its words and run it</source>
        <translation>단어로 명령을 찾아 실행합니다</translation>
    </message>
    <message>
        <source>Change keyboard shortcuts…</source>
        <translation>키보드 단축키 변경…</translation>
    </message>
    <message>
        <source>Give commands other keys</source>
        <translation>명령에 다른 키를 지정합니다</translation>
    </message>
    <message>
        <source>Messages…</source>
        <translation>메시지…</translation>
    </message>
    <message>
        <source>All messages since the start, with their buttons</source>
        <translation>시작 이후의 모든 메시지와 그 버튼</translation>
    </message>
    <message>
        <source>Copy report</source>
        <translation>보고서 복사</translation>
    </message>
    <message>
        <source>Versions, settings and the last lines of the log, for a bug report</source>
        <translation>오류 보고에 쓸 버전, 설정, 로그의 마지막 줄</translation>
    </message>
    <message>
        <source>Open log folder</source>
        <translation>로그 폴더 열기</translation>
    </message>
    <message>
        <source>The folder with the log files of Atrous</source>
        <translation>Atrous의 로그 파일이 있는 폴더</translation>
    </message>
    <message>
        <source>About Atrous</source>
        <translation>Atrous 정보</translation>
    </message>
    <message>
        <source>Version, licence and where it comes from</source>
        <translation>버전, 라이선스, 출처</translation>
    </message>
    <message>
        <source>Left drag</source>
        <extracomment>Tool buttons of the top bar, left to right. What the hands do on the picture that no command stands for.</extracomment>
        <translation>왼쪽 끌기</translation>
    </message>
    <message>
        <source>Use the current tool</source>
        <translation>현재 도구 사용</translation>
    </message>
    <message>
        <source>Right drag</source>
        <translation>오른쪽 끌기</translation>
    </message>
    <message>
        <source>Restore to the prediction</source>
        <translation>예측으로 되돌리기</translation>
    </message>
    <message>
        <source>Right click</source>
        <translation>오른쪽 클릭</translation>
    </message>
    <message>
        <source>Components: a menu; Clicks: a point beside the object</source>
        <translation>성분: 메뉴, 클릭: 객체 밖의 점</translation>
    </message>
    <message>
        <source>Shift+click</source>
        <translation>Shift+클릭</translation>
    </message>
    <message>
        <source>Straight line from the last point</source>
        <translation>마지막 점에서 직선</translation>
    </message>
    <message>
        <source>Wheel, Ctrl+wheel</source>
        <translation>휠, Ctrl+휠</translation>
    </message>
    <message>
        <source>Zoom at the pointer</source>
        <translation>포인터 위치에서 확대/축소</translation>
    </message>
    <message>
        <source>Shift+wheel</source>
        <translation>Shift+휠</translation>
    </message>
    <message>
        <source>Brush size</source>
        <translation>브러시 크기</translation>
    </message>
    <message>
        <source>Alt+wheel</source>
        <translation>Alt+휠</translation>
    </message>
    <message>
        <source>Overlay opacity; larger or smaller regions</source>
        <translation>오버레이 불투명도, 영역 크게/작게</translation>
    </message>
    <message>
        <source>Space+drag, middle drag</source>
        <translation>Space+끌기, 가운데 끌기</translation>
    </message>
    <message>
        <source>Pan the image</source>
        <translation>이미지 이동</translation>
    </message>
    <message>
        <source>Enter / Backspace</source>
        <translation>Enter / Backspace</translation>
    </message>
    <message>
        <source>Close the polygon / remove its last corner</source>
        <translation>다각형 닫기 / 마지막 꼭짓점 제거</translation>
    </message>
    <message>
        <source>Esc</source>
        <translation>Esc</translation>
    </message>
    <message>
        <source>Cancel the current stroke or polygon</source>
        <translation>현재 획이나 다각형 취소</translation>
    </message>
    <message>
        <source>Enter, Esc in a panel</source>
        <translation>Enter, 패널에서 Esc</translation>
    </message>
    <message>
        <source>Return keyboard focus to the image</source>
        <translation>키보드 초점을 이미지로 되돌리기</translation>
    </message>
    <message>
        <source>Learning from {number}</source>
        <extracomment>Folder of models that were learned in a project, below its data; and of the one that was not accepted yet.</extracomment>
        <translation>{number}에서 학습 중</translation>
    </message>
    <message numerus="yes">
        <source>{n} image</source>
        <comment>{n} images</comment>
        <extracomment>Names that a sentence lists. (text, tone) of a line below a choice.</extracomment>
        <translation>
            <numerusform>이미지 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>On held-out images: {before:.1f} before, {after:.1f} after (mean IoU).</source>
        <translation>따로 둔 이미지에서 이전 {before:.1f}, 이후 {after:.1f}(평균 IoU).</translation>
    </message>
    <message>
        <source>Nothing changes until you accept it.</source>
        <translation>적용하기 전에는 아무것도 바뀌지 않습니다.</translation>
    </message>
    <message>
        <source>Learning finished</source>
        <translation>학습 완료</translation>
    </message>
    <message>
        <source>Before and after…</source>
        <translation>전과 후…</translation>
    </message>
    <message>
        <source>Learning cancelled</source>
        <translation>학습 취소됨</translation>
    </message>
    <message>
        <source>Nothing was changed.</source>
        <translation>바뀐 것이 없습니다.</translation>
    </message>
    <message>
        <source>Correct one or two images with the brush, or mark an image reviewed.</source>
        <translation>브러시로 이미지 한두 개를 수정하거나, 이미지를 검토 완료로 표시하세요.</translation>
    </message>
    <message>
        <source>The {count} edited image(s) contain no pixel that you painted. {detail}</source>
        <translation>편집한 이미지 {count}개에 직접 칠한 픽셀이 없습니다. {detail}</translation>
    </message>
    <message>
        <source>Nothing to learn from yet</source>
        <translation>아직 학습할 내용이 없습니다</translation>
    </message>
    <message>
        <source>the model cannot be saved</source>
        <translation>모델을 저장할 수 없습니다</translation>
    </message>
    <message>
        <source>Make the project folder writable, then accept it again</source>
        <translation>프로젝트 폴더를 쓸 수 있게 한 뒤 다시 적용하세요</translation>
    </message>
    <message>
        <source>No click network is installed</source>
        <extracomment>Features of the image in view come after urgent requests and before a folder run. Setting with the files of the chosen click network, one a line.</extracomment>
        <translation>설치된 클릭 네트워크가 없습니다</translation>
    </message>
    <message>
        <source>Get a published one such as MobileSAM or EdgeSAM, or open an ONNX file that you have (extra &apos;onnx&apos;).</source>
        <translation>MobileSAM이나 EdgeSAM처럼 공개된 것을 받거나, 가지고 있는 ONNX 파일을 여세요(추가 패키지 &apos;onnx&apos;).</translation>
    </message>
    <message>
        <source>Get a click network…</source>
        <translation>클릭 네트워크 받기…</translation>
    </message>
    <message>
        <source>Open a file…</source>
        <translation>파일 열기…</translation>
    </message>
    <message>
        <source>Clicks: {name}</source>
        <translation>클릭: {name}</translation>
    </message>
    <message>
        <source>The clicks change nothing</source>
        <translation>클릭으로 바뀌는 것이 없습니다</translation>
    </message>
    <message>
        <source>Clicks need a class: unlabelled is none</source>
        <translation>클릭에는 클래스가 필요합니다. 라벨 없음은 클래스가 아닙니다</translation>
    </message>
    <message>
        <source>Candidate {place} of {count}</source>
        <translation>후보 {place}/{count}</translation>
    </message>
    <message>
        <source>Enter: apply, Esc: drop</source>
        <translation>Enter: 적용, Esc: 버리기</translation>
    </message>
    <message>
        <source>Alt+wheel: next candidate</source>
        <translation>Alt+휠: 다음 후보</translation>
    </message>
    <message>
        <source>Counting islands</source>
        <extracomment>An operation that is worked out on every image begins to be counted so long after its number was changed, ms. So many counts of other numbers are remembered.</extracomment>
        <translation>작은 조각을 세는 중</translation>
    </message>
    <message>
        <source>Counting changes</source>
        <translation>바뀌는 픽셀을 세는 중</translation>
    </message>
    <message>
        <source>Draw around the part with the lasso or the polygon.</source>
        <extracomment>Tools that draw outlines.</extracomment>
        <translation>올가미나 다각형으로 해당 부분을 둘러 그리세요.</translation>
    </message>
    <message>
        <source>{operation}: {name}</source>
        <translation>{operation}: {name}</translation>
    </message>
    <message>
        <source>Several images cannot be limited to one side of the trimap band: turn that mode off first</source>
        <translation>여러 이미지를 트라이맵 밴드의 한쪽으로 제한할 수 없습니다. 먼저 그 모드를 끄세요</translation>
    </message>
    <message>
        <source>{operation}: nothing changed</source>
        <translation>{operation}: 바뀐 것 없음</translation>
    </message>
    <message>
        <source>{name}, {pixels} px</source>
        <translation>{name}, {pixels} px</translation>
    </message>
    <message>
        <source>{changed} changed</source>
        <translation>{changed} 바뀜</translation>
    </message>
    <message numerus="yes">
        <source>{n} mask</source>
        <comment>{n} masks</comment>
        <translation>
            <numerusform>마스크 {n}개</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} px that you painted stays</source>
        <comment>{n} px that you painted stay</comment>
        <translation>
            <numerusform>직접 칠한 {n} px는 그대로입니다</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image with labels</source>
        <comment>{n} images with labels</comment>
        <translation>
            <numerusform>라벨이 있는 이미지 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>No class surrounds this component</source>
        <extracomment>On images of more pixels a component is found in the background. After a change of the labels the component under the pointer is found again, ms.</extracomment>
        <translation>이 성분을 둘러싼 클래스가 없습니다</translation>
    </message>
    <message>
        <source>Give to the surroundings</source>
        <translation>주변 클래스로 바꾸기</translation>
    </message>
    <message>
        <source>The line cuts nothing off: draw it all the way across a component</source>
        <translation>선이 아무것도 잘라 내지 않습니다. 성분을 완전히 가로질러 그리세요</translation>
    </message>
    <message>
        <source>Split: {name}</source>
        <translation>나누기: {name}</translation>
    </message>
    <message>
        <source>Nothing to join: these are one component, or the first one is unlabelled</source>
        <translation>합칠 것이 없습니다. 하나의 성분이거나, 첫 성분이 라벨 없음입니다</translation>
    </message>
    <message>
        <source>Join: {name}</source>
        <translation>합치기: {name}</translation>
    </message>
    <message>
        <source>There is no second guess for this component</source>
        <translation>이 성분에는 2순위 클래스가 없습니다</translation>
    </message>
    <message>
        <source>Component: {name}</source>
        <translation>성분: {name}</translation>
    </message>
    <message>
        <source>Point at a component first</source>
        <translation>먼저 성분을 가리키세요</translation>
    </message>
    <message>
        <source>Nothing changed: the labels are there already</source>
        <translation>바뀐 것 없음: 이미 같은 라벨입니다</translation>
    </message>
    <message>
        <source>There is no region under the pointer</source>
        <translation>포인터 아래에 영역이 없습니다</translation>
    </message>
    <message>
        <source>Point at a region first.</source>
        <translation>먼저 영역을 가리키세요.</translation>
    </message>
    <message>
        <source>unlabelled</source>
        <translation>라벨 없음</translation>
    </message>
    <message numerus="yes">
        <source>{n} px</source>
        <comment>{n} px</comment>
        <translation>
            <numerusform>{n} px</numerusform>
        </translation>
    </message>
    <message>
        <source>Region copied: {name}, {size}</source>
        <translation>영역 복사됨: {name}, {size}</translation>
    </message>
    <message>
        <source>Paste it into an image of the same size.</source>
        <translation>크기가 같은 이미지에 붙여넣으세요.</translation>
    </message>
    <message>
        <source>No region was copied</source>
        <translation>복사한 영역이 없습니다</translation>
    </message>
    <message>
        <source>Point at a region and choose &apos;Copy region&apos;.</source>
        <translation>영역을 가리키고 &apos;영역 복사&apos;를 선택하세요.</translation>
    </message>
    <message>
        <source>Paste: {name}</source>
        <translation>붙여넣기: {name}</translation>
    </message>
    <message>
        <source>There is no mask to copy.</source>
        <translation>복사할 마스크가 없습니다.</translation>
    </message>
    <message>
        <source>Copy of {name}</source>
        <translation>{name}의 복사본</translation>
    </message>
    <message>
        <source>This is the first image</source>
        <translation>첫 번째 이미지입니다</translation>
    </message>
    <message>
        <source>Brush</source>
        <extracomment>Every tool, in the order of menu and top bar. What the left button does for each is in :mod:`app.ui.canvas.toolbox`.</extracomment>
        <translation>브러시</translation>
    </message>
    <message>
        <source>Eraser</source>
        <translation>지우개</translation>
    </message>
    <message>
        <source>Restore to prediction</source>
        <translation>예측으로 되돌리기</translation>
    </message>
    <message>
        <source>mark ambiguous</source>
        <extracomment>On images of more pixels a fill or an outline is worked out in the background.</extracomment>
        <translation>모호함 표시</translation>
    </message>
    <message>
        <source></source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no prediction to restore yet. Run the model on this image first.</source>
        <translation>되돌릴 예측이 아직 없습니다. 먼저 이 이미지에 모델을 실행하세요.</translation>
    </message>
    <message>
        <source>Fill: {class_name}</source>
        <translation>채우기: {class_name}</translation>
    </message>
    <message>
        <source>Polygon</source>
        <translation>다각형</translation>
    </message>
    <message>
        <source>Lasso</source>
        <translation>올가미</translation>
    </message>
    <message>
        <source>Open an image first.</source>
        <translation>먼저 이미지를 여세요.</translation>
    </message>
    <message>
        <source>{name} is locked: its pixels keep it, and no others get it. Unlock it first.</source>
        <translation>{name} 클래스가 잠겨 있습니다. 그 픽셀은 그대로이고 다른 픽셀도 이 클래스가 되지 않습니다. 먼저 잠금을 푸세요.</translation>
    </message>
    <message>
        <source>{name}, confirmed {pixels} px</source>
        <translation>{name}, {pixels} px 확정</translation>
    </message>
    <message>
        <source>{name}, returned to the model {pixels} px</source>
        <translation>{name}, {pixels} px를 모델로 되돌림</translation>
    </message>
    <message>
        <source>{name}: {painted} over {other}</source>
        <translation>{name}: {other} 위에 {painted}</translation>
    </message>
    <message>
        <source>{name}: {painted}</source>
        <translation>{name}: {painted}</translation>
    </message>
    <message>
        <source>A scribble needs a class: unlabelled is none</source>
        <extracomment>Points that an outline has at least.</extracomment>
        <translation>스크리블에는 클래스가 필요합니다. 라벨 없음은 클래스가 아닙니다</translation>
    </message>
    <message>
        <source>Scribble: {painted}</source>
        <translation>스크리블: {painted}</translation>
    </message>
    <message>
        <source>The scribble changes nothing</source>
        <translation>스크리블로 바뀌는 것이 없습니다</translation>
    </message>
    <message>
        <source>It takes pixels of the class where it begins, and none that you painted.</source>
        <translation>시작한 곳의 클래스 픽셀만 가져오고, 직접 칠한 픽셀은 가져오지 않습니다.</translation>
    </message>
    <message>
        <source>Smooth: {px} px</source>
        <translation>다듬기: {px} px</translation>
    </message>
    <message>
        <source>To edges within {px} px</source>
        <translation>{px} px 안의 가장자리로</translation>
    </message>
    <message>
        <source>By colours within {px} px</source>
        <translation>{px} px 안의 색으로</translation>
    </message>
    <message>
        <source>Unlabelled pixels have no outline to move</source>
        <extracomment>What the wheel goes through, from the least to the farthest of each kind.</extracomment>
        <translation>라벨 없는 픽셀에는 옮길 윤곽이 없습니다</translation>
    </message>
    <message>
        <source>Border snap needs a class: unlabelled is none</source>
        <translation>경계 스냅에는 클래스가 필요합니다. 라벨 없음은 클래스가 아닙니다</translation>
    </message>
    <message>
        <source>Border snap: {name}</source>
        <translation>경계 스냅: {name}</translation>
    </message>
    <message>
        <source>The outline stays as it is</source>
        <translation>윤곽이 그대로입니다</translation>
    </message>
    <message>
        <source>Alt+wheel: other ways</source>
        <translation>Alt+휠: 다른 방법</translation>
    </message>
    <message>
        <source>Click, Enter: apply</source>
        <translation>클릭, Enter: 적용</translation>
    </message>
    <message>
        <source>Esc: drop</source>
        <translation>Esc: 버리기</translation>
    </message>
    <message>
        <source>There is nothing to find errors by</source>
        <extracomment>A walk to the next image waits for its ground truth, or for its prediction: it looks again after so many ms, so many times.</extracomment>
        <translation>오류를 찾을 기준이 없습니다</translation>
    </message>
    <message>
        <source>Errors are found by ground truth, or by the confidence of a prediction: run the model first.</source>
        <translation>오류는 정답이나 예측의 신뢰도로 찾습니다. 먼저 모델을 실행하세요.</translation>
    </message>
    <message>
        <source>Run the model on this image first.</source>
        <translation>먼저 이 이미지에 모델을 실행하세요.</translation>
    </message>
    <message>
        <source>No further error in this image</source>
        <translation>이 이미지에 더 이상 오류가 없습니다</translation>
    </message>
    <message>
        <source>No error was found in this image</source>
        <translation>이 이미지에서 오류를 찾지 못했습니다</translation>
    </message>
    <message>
        <source>The same key once more goes on in the next image; &apos;Reviewed, next&apos; marks this one.</source>
        <translation>같은 키를 한 번 더 누르면 다음 이미지로 넘어갑니다. &apos;검토 완료, 다음&apos;은 이 이미지를 검토 완료로 표시합니다.</translation>
    </message>
    <message>
        <source>No further error in the list</source>
        <translation>목록에 더 이상 오류가 없습니다</translation>
    </message>
    <message>
        <source>All later images are reviewed, rejected or without an error. Filter and order of the list decide which come.</source>
        <translation>뒤의 이미지는 모두 검토 완료이거나 반려되었거나 오류가 없습니다. 목록의 필터와 순서에 따라 다음 이미지가 정해집니다.</translation>
    </message>
    <message>
        <source>Next error: {name}</source>
        <translation>다음 오류: {name}</translation>
    </message>
    <message>
        <source>The image before has no further error; it is not marked reviewed.</source>
        <translation>앞의 이미지에는 더 이상 오류가 없습니다. 검토 완료로 표시되지는 않았습니다.</translation>
    </message>
    <message>
        <source>This error is fixed already</source>
        <translation>이 오류는 이미 고쳤습니다</translation>
    </message>
    <message>
        <source>There is no second guess for this error</source>
        <translation>이 오류에는 2순위 클래스가 없습니다</translation>
    </message>
    <message>
        <source>Error: second guess</source>
        <translation>오류: 2순위 클래스</translation>
    </message>
    <message>
        <source>Error: {name}</source>
        <translation>오류: {name}</translation>
    </message>
    <message>
        <source>No class surrounds this error</source>
        <translation>이 오류를 둘러싼 클래스가 없습니다</translation>
    </message>
    <message>
        <source>Error: give to the surroundings</source>
        <translation>오류: 주변 클래스로 바꾸기</translation>
    </message>
    <message>
        <source>Error: restore to prediction</source>
        <translation>오류: 예측으로 되돌리기</translation>
    </message>
    <message>
        <source>Painting inside and outside the trimap band again</source>
        <extracomment>The setting of a project that lists the ids of the classes that may be painted over.</extracomment>
        <translation>다시 트라이맵 밴드 안팎에 칠합니다</translation>
    </message>
    <message>
        <source>Painting only inside the trimap band ({width} px)</source>
        <translation>트라이맵 밴드({width} px) 안에만 칠합니다</translation>
    </message>
    <message>
        <source>Painting only outside the trimap band ({width} px)</source>
        <translation>트라이맵 밴드({width} px) 밖에만 칠합니다</translation>
    </message>
    <message numerus="yes">
        <source>{n} class</source>
        <comment>{n} classes</comment>
        <translation>
            <numerusform>클래스 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>Painting only over the class where a stroke begins</source>
        <translation>획이 시작된 클래스 위에만 칠합니다</translation>
    </message>
    <message>
        <source>Painting over all classes again</source>
        <translation>다시 모든 클래스 위에 칠합니다</translation>
    </message>
    <message>
        <source>Painting only over {names}</source>
        <translation>{names} 위에만 칠합니다</translation>
    </message>
    <message>
        <source>No prediction yet: run the model</source>
        <extracomment>On images of more pixels a component is found in the background. After a change of the labels what is under the pointer is looked at again, ms.</extracomment>
        <translation>아직 예측이 없습니다. 모델을 실행하세요</translation>
    </message>
    <message>
        <source>No ground truth for this image</source>
        <translation>이 이미지의 정답이 없습니다</translation>
    </message>
    <message>
        <source>Compare models first (Shift+C)</source>
        <translation>먼저 모델을 비교하세요(Shift+C)</translation>
    </message>
    <message>
        <source>It is being read…</source>
        <translation>읽는 중입니다…</translation>
    </message>
    <message>
        <source>The regions of this image are being computed…</source>
        <extracomment>So far (view px) the pointer moves before a press is a drag.</extracomment>
        <translation>이 이미지의 영역을 계산하는 중입니다…</translation>
    </message>
    <message>
        <source>Nothing to copy here</source>
        <translation>여기에는 복사할 것이 없습니다</translation>
    </message>
    <message>
        <source>{name}, {size}</source>
        <translation>{name}, {size}</translation>
    </message>
    <message numerus="yes">
        <source>Click: {n} px changes</source>
        <comment>Click: {n} px change</comment>
        <translation>
            <numerusform>클릭: {n} px가 바뀝니다</numerusform>
        </translation>
    </message>
    <message>
        <source>The labels are the same</source>
        <translation>라벨이 같습니다</translation>
    </message>
    <message>
        <source>From: {source}</source>
        <extracomment>What gives way first when there is no room; all of it is in the menus too.</extracomment>
        <translation>원본: {source}</translation>
    </message>
    <message>
        <source>Point at the image first</source>
        <translation>먼저 이미지를 가리키세요</translation>
    </message>
    <message>
        <source>The regions of this image are being computed</source>
        <extracomment>The level that a session begins with: some 120 regions in an image. After a change of the labels the region under the pointer is looked at again, ms.</extracomment>
        <translation>이 이미지의 영역을 계산하는 중입니다</translation>
    </message>
    <message>
        <source>{source} is being read</source>
        <translation>{source} 읽는 중</translation>
    </message>
    <message>
        <source>Copy from {source}</source>
        <translation>{source}에서 복사</translation>
    </message>
    <message>
        <source>The previous image cannot be read</source>
        <translation>이전 이미지를 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>The previous image has another size</source>
        <translation>이전 이미지의 크기가 다릅니다</translation>
    </message>
    <message>
        <source>The previous image has no labels</source>
        <translation>이전 이미지에 라벨이 없습니다</translation>
    </message>
    <message>
        <source>There is no second guess for this region</source>
        <translation>이 영역에는 2순위 클래스가 없습니다</translation>
    </message>
    <message>
        <source>Regions: {name}</source>
        <translation>영역: {name}</translation>
    </message>
    <message>
        <source>Region: {name}</source>
        <translation>영역: {name}</translation>
    </message>
    <message>
        <source>Scribble</source>
        <extracomment>Tools with a follow-up of their strokes. How far a stroke is believed: so many brush diameters, within limits in px of the image. Where the belief has fallen to an eighth of its height nothing is refined any more. Pixels around the box that take part as context. A box that was overtaken by the next stroke is refined with it, where that makes it at most so many times larger. So long a stroke waits for its refinement in milliseconds; then it becomes a step alone.
----------
The slider is logarithmic: half of it for brushes up to 32 px. Modes that change what a stroke or an outline does, what their lamps say, and in short. A click on a lamp ends the mode.</extracomment>
        <translation>스크리블</translation>
    </message>
    <message>
        <source>{name}, refined</source>
        <translation>{name}, 정제됨</translation>
    </message>
    <message>
        <source>The stroke stops at your own pixels</source>
        <translation>획이 사용자의 픽셀에서 멈춥니다</translation>
    </message>
    <message>
        <source>You painted {own} px around it, and refinement does not change those. Paint over them, or restore them to the prediction first.</source>
        <translation>주변에 직접 칠한 {own} px가 있으며 정제는 이를 바꾸지 않습니다. 그 위에 칠하거나 먼저 예측으로 되돌리세요.</translation>
    </message>
    <message>
        <source>The stroke was painted but not refined</source>
        <translation>획을 칠했지만 정제하지 않았습니다</translation>
    </message>
    <message>
        <source>No class scores for this image in memory. Run the model (Ctrl+R), or refine the mask itself.</source>
        <translation>메모리에 이 이미지의 클래스 점수가 없습니다. 모델을 실행하거나(Ctrl+R) 마스크 자체를 정제하세요.</translation>
    </message>
    <message>
        <source>Undone in {name}</source>
        <translation>{name}에서 실행 취소됨</translation>
    </message>
    <message>
        <source>Nothing undone yet</source>
        <translation>아직 실행 취소되지 않았습니다</translation>
    </message>
    <message>
        <source>Undo again to revert its newest step, &apos;{step}&apos;.</source>
        <translation>다시 실행 취소하면 가장 최근 단계 &apos;{step}&apos;이(가) 되돌려집니다.</translation>
    </message>
    <message>
        <source>Redone in {name}</source>
        <translation>{name}에서 다시 실행됨</translation>
    </message>
    <message>
        <source>Nothing redone yet</source>
        <translation>아직 다시 실행되지 않았습니다</translation>
    </message>
    <message>
        <source>Redo again to repeat &apos;{step}&apos;.</source>
        <translation>다시 실행을 한 번 더 하면 &apos;{step}&apos;이(가) 반복됩니다.</translation>
    </message>
    <message>
        <source>You have not changed {name} since the project was opened. {what}</source>
        <translation>프로젝트를 연 뒤로 {name}을(를) 바꾸지 않았습니다. {what}</translation>
    </message>
    <message>
        <source>{verb} here</source>
        <translation>여기서 {verb}</translation>
    </message>
    <message>
        <source>The first prediction stays; &apos;Clear mask&apos; clears the image.</source>
        <translation>첫 예측은 남습니다. &apos;마스크 지우기&apos;가 이미지를 비웁니다.</translation>
    </message>
    <message>
        <source>Nothing to undo in {name}</source>
        <translation>{name}에 실행 취소할 것이 없습니다</translation>
    </message>
    <message>
        <source>Your last change is &apos;{title}&apos; in {name}.</source>
        <translation>마지막으로 바꾼 것은 {name}의 &apos;{title}&apos;입니다.</translation>
    </message>
    <message>
        <source>Go to {name}</source>
        <translation>{name}(으)로 이동</translation>
    </message>
    <message>
        <source>{shown} is no longer marked reviewed</source>
        <translation>{shown}의 검토 완료 표시가 해제되었습니다</translation>
    </message>
    <message>
        <source>You undid a step that was there when you marked it. Redo restores the step and the mark.</source>
        <translation>표시할 때 있던 단계를 실행 취소했습니다. 다시 실행하면 단계와 표시가 돌아옵니다.</translation>
    </message>
    <message>
        <source>Choose at least two models to compare</source>
        <extracomment>Images that one model sees before the next one has its turn: where memory holds one model at a time, each is read again once per block, which costs little beside its predictions. What an image counts: by place, and by places.</extracomment>
        <translation>비교할 모델을 두 개 이상 고르세요</translation>
    </message>
    <message>
        <source>Comparing models on the folder</source>
        <translation>폴더에서 모델을 비교하는 중</translation>
    </message>
    <message numerus="yes">
        <source>{n} class of {title} has no partner in this project and counts as void.</source>
        <comment>{n} classes of {title} have no partner in this project and count as void.</comment>
        <translation>
            <numerusform>{title}의 클래스 {n}개는 이 프로젝트에 대응하는 클래스가 없어 void로 계산됩니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>{done} compared, {scored} of them with ground truth</source>
        <translation>{done} 비교됨, 그중 {scored}개에 정답 있음</translation>
    </message>
    <message>
        <source>predictions are kept for the next run</source>
        <translation>예측은 다음 실행을 위해 보관됩니다</translation>
    </message>
    <message>
        <source>Comparison</source>
        <translation>비교</translation>
    </message>
    <message>
        <source>Verdicts require two images with ground truth.</source>
        <translation>판정에는 정답이 있는 이미지가 두 개 필요합니다.</translation>
    </message>
    <message>
        <source>No verdicts for more than {images} images: atrous ablate has them.</source>
        <translation>이미지가 {images}개를 넘으면 판정이 없습니다. atrous ablate에 있습니다.</translation>
    </message>
    <message>
        <source>mIoU {mean}</source>
        <extracomment>Letters of a model&apos;s name that are shown in its pane. Settings that change every prediction.</extracomment>
        <translation>mIoU {mean}</translation>
    </message>
    <message>
        <source>{first} and {second}</source>
        <translation>{first}, {second}</translation>
    </message>
    <message>
        <source>Comparing: {title}</source>
        <translation>비교 중: {title}</translation>
    </message>
    <message>
        <source>Cancelled</source>
        <translation>취소됨</translation>
    </message>
    <message>
        <source>The image has another size now: rescan the folder (F5).</source>
        <translation>이미지 크기가 바뀌었습니다. 폴더를 다시 검색하세요(F5).</translation>
    </message>
    <message>
        <source>Comparing requires two models</source>
        <translation>비교하려면 모델이 두 개 필요합니다</translation>
    </message>
    <message>
        <source>Add a model file to compare with.</source>
        <translation>비교할 모델 파일을 추가하세요.</translation>
    </message>
    <message>
        <source>No other model has the same classes</source>
        <translation>클래스가 같은 다른 모델이 없습니다</translation>
    </message>
    <message>
        <source>Check another model in the list to compare anyway: classes that the project lacks count as void.</source>
        <translation>그래도 비교하려면 목록에서 다른 모델을 선택하세요. 프로젝트에 없는 클래스는 void로 계산됩니다.</translation>
    </message>
    <message>
        <source>Searching for a model with the same classes</source>
        <translation>클래스가 같은 모델을 찾는 중</translation>
    </message>
    <message>
        <source>There is no error under the pointer</source>
        <translation>포인터 아래에 오류가 없습니다</translation>
    </message>
    <message>
        <source>Point at a wrong pixel first.</source>
        <translation>먼저 잘못된 픽셀을 가리키세요.</translation>
    </message>
    <message>
        <source>Nothing is marked under the pointer</source>
        <translation>포인터 아래에 표시가 없습니다</translation>
    </message>
    <message>
        <source>{pixels} px</source>
        <translation>{pixels} px</translation>
    </message>
    <message>
        <source>{pixels} marked ambiguous</source>
        <translation>{pixels}를 모호함으로 표시</translation>
    </message>
    <message>
        <source>They are excluded from all metrics. See the list in the Evaluation panel.</source>
        <translation>모든 지표에서 제외됩니다. 평가 패널의 목록을 보세요.</translation>
    </message>
    <message>
        <source>Ambiguity mark cleared</source>
        <translation>모호함 표시를 지웠습니다</translation>
    </message>
    <message>
        <source>Forget them</source>
        <translation>삭제</translation>
    </message>
    <message>
        <source>Finding doubtful places</source>
        <extracomment>Places that are listed, and how often the list is shown while it grows, ms.</extracomment>
        <translation>의심스러운 곳을 찾는 중</translation>
    </message>
    <message>
        <source>Analysing the folder</source>
        <extracomment>Pause before the components of the image in view are found again. Figures are signalled at most this often.</extracomment>
        <translation>폴더 분석 중</translation>
    </message>
    <message>
        <source>This is the last error in the list</source>
        <translation>목록의 마지막 오류입니다</translation>
    </message>
    <message>
        <source>This is the first error in the list</source>
        <translation>목록의 첫 오류입니다</translation>
    </message>
    <message>
        <source>ground truth mask</source>
        <extracomment>Pause before the score of the image in view is written again.</extracomment>
        <translation>정답 마스크</translation>
    </message>
    <message>
        <source>Evaluating the folder</source>
        <translation>폴더 평가 중</translation>
    </message>
    <message>
        <source>Nothing could be evaluated</source>
        <translation>평가할 수 있는 것이 없습니다</translation>
    </message>
    <message>
        <source>No image has both ground truth and a mask. Run the model first.</source>
        <translation>정답과 마스크가 모두 있는 이미지가 없습니다. 먼저 모델을 실행하세요.</translation>
    </message>
    <message>
        <source>Folder so far: mIoU {value}</source>
        <translation>지금까지의 폴더: mIoU {value}</translation>
    </message>
    <message>
        <source>Folder: mIoU {value}</source>
        <translation>폴더: mIoU {value}</translation>
    </message>
    <message>
        <source>mIoU {mean}, pooled over {images}; pixel accuracy {accuracy}.</source>
        <translation>mIoU {mean}, {images}에서 통합. 픽셀 정확도 {accuracy}.</translation>
    </message>
    <message>
        <source>Check the ground truth</source>
        <translation>정답을 확인하세요</translation>
    </message>
    <message>
        <source>No ground truth</source>
        <extracomment>Longer side of the pictures that show a mask both ways, px.</extracomment>
        <translation>정답 없음</translation>
    </message>
    <message>
        <source>Choose the ground truth folder in the Classes panel.</source>
        <translation>클래스 패널에서 정답 폴더를 선택하세요.</translation>
    </message>
    <message>
        <source>No mask in {name} matches an image by name</source>
        <translation>{name}에 이름이 이미지와 일치하는 마스크가 없습니다</translation>
    </message>
    <message>
        <source>Ground truth masks have the same names as their images. Nothing was changed.</source>
        <translation>정답 마스크는 이미지와 이름이 같아야 합니다. 바뀐 것이 없습니다.</translation>
    </message>
    <message>
        <source>No ground truth mask fits its image in both orientations</source>
        <translation>두 방향 모두 이미지에 맞는 정답 마스크가 없습니다</translation>
    </message>
    <message>
        <source>There is nothing to choose.</source>
        <translation>고를 것이 없습니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} mask of the model was set aside.</source>
        <comment>{n} masks of the model were set aside.</comment>
        <translation>
            <numerusform>모델의 마스크 {n}개를 따로 치워 두었습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>Classes set to {title}</source>
        <translation>클래스를 {title}(으)로 설정함</translation>
    </message>
    <message>
        <source>You edited them</source>
        <translation>직접 편집했습니다</translation>
    </message>
    <message>
        <source>The classes were edited</source>
        <translation>클래스를 편집했습니다</translation>
    </message>
    <message>
        <source>The edit of the classes was undone</source>
        <translation>클래스 편집을 실행 취소했습니다</translation>
    </message>
    <message>
        <source>The ground truth of this project is no longer used</source>
        <translation>이 프로젝트의 정답을 더 이상 사용하지 않습니다</translation>
    </message>
    <message>
        <source>The ground truth of this project cannot be read</source>
        <translation>이 프로젝트의 정답을 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>The ground truth has changed on disk</source>
        <translation>디스크의 정답이 바뀌었습니다</translation>
    </message>
    <message>
        <source>It was read again; figures follow it.</source>
        <translation>다시 읽었으며, 수치도 이에 따라 바뀝니다.</translation>
    </message>
    <message>
        <source>No ground truth found</source>
        <translation>정답을 찾지 못했습니다</translation>
    </message>
    <message>
        <source>Ground truth masks have the same names as their images. Choose the folder that contains them.</source>
        <translation>정답 마스크는 이미지와 이름이 같습니다. 마스크가 있는 폴더를 고르세요.</translation>
    </message>
    <message>
        <source>This ground truth cannot be used</source>
        <translation>이 정답은 사용할 수 없습니다</translation>
    </message>
    <message>
        <source>{index} of {images} have ground truth</source>
        <translation>{images} 중 {index}개에 정답이 있습니다</translation>
    </message>
    <message>
        <source>In {where}.</source>
        <translation>위치: {where}.</translation>
    </message>
    <message>
        <source>It is {text}.</source>
        <translation>{text}입니다.</translation>
    </message>
    <message>
        <source>Reading the ground truth</source>
        <translation>정답 읽는 중</translation>
    </message>
    <message>
        <source>Replace by ground truth</source>
        <extracomment>Figures follow a stroke at this pace; the curve, which costs more to draw, a little later. So often a count that was overtaken by changes is repeated before the window counts itself.</extracomment>
        <translation>정답으로 바꾸기</translation>
    </message>
    <message>
        <source>Nothing is labelled yet. The curve shows mIoU inside the band for every width.</source>
        <translation>아직 라벨이 없습니다. 밴드 안의 mIoU를 너비별로 보여 줍니다.</translation>
    </message>
    <message>
        <source>This ground truth has no void ring: choose the class edge.</source>
        <translation>이 정답에는 void 테두리가 없습니다. 클래스 가장자리를 고르세요.</translation>
    </message>
    <message>
        <source>Measuring IoU</source>
        <extracomment>Predictions that wait in memory; later ones are read from the disk again. From so many images on measuring is a job with progress, and from so many it waits until the figures are looked at. Records that changed are looked at together after this pause.</extracomment>
        <translation>IoU 측정 중</translation>
    </message>
    <message>
        <source>IoU by class</source>
        <translation>클래스별 IoU</translation>
    </message>
    <message>
        <source>class edge, around the ground truth</source>
        <extracomment>A change of status or figures is recorded when things have been quiet for so long.</extracomment>
        <translation>정답 주변의 클래스 가장자리</translation>
    </message>
    <message>
        <source>class edge, around the mask</source>
        <translation>마스크 주변의 클래스 가장자리</translation>
    </message>
    <message>
        <source>void ring of the ground truth</source>
        <translation>정답의 void 테두리</translation>
    </message>
    <message>
        <source>Trimap curve, image</source>
        <translation>트라이맵 곡선, 이미지</translation>
    </message>
    <message>
        <source>Trimap curve, folder</source>
        <extracomment>Draws for the intervals of slices. Plots of what an evaluation of the folder measures, and an analysis of its errors does not.</extracomment>
        <translation>트라이맵 곡선, 폴더</translation>
    </message>
    <message>
        <source>Confusion matrix</source>
        <extracomment>Sides of a cell, px; from the text&apos;s size on a cell says its figure. A matrix that is fitted into its view has cells of at least this side, so that every name can be read; the rest is scrolled to.</extracomment>
        <translation>혼동 행렬</translation>
    </message>
    <message>
        <source>Reliability</source>
        <translation>신뢰도 보정</translation>
    </message>
    <message>
        <source>Precision and recall</source>
        <translation>정밀도와 재현율</translation>
    </message>
    <message>
        <source>Objects by size</source>
        <extracomment>Plots of slices, by their names; None for the attributes of the user.</extracomment>
        <translation>크기별 객체</translation>
    </message>
    <message>
        <source>Objects by occlusion</source>
        <translation>가림 정도별 객체</translation>
    </message>
    <message>
        <source>Objects by visible fraction</source>
        <translation>보이는 비율별 객체</translation>
    </message>
    <message>
        <source>Objects by brightness</source>
        <translation>밝기별 객체</translation>
    </message>
    <message>
        <source>Objects by contrast</source>
        <translation>대비별 객체</translation>
    </message>
    <message>
        <source>Pixels by distance</source>
        <translation>거리별 픽셀</translation>
    </message>
    <message>
        <source>Pixels by brightness</source>
        <translation>밝기별 픽셀</translation>
    </message>
    <message>
        <source>Pixels by contrast</source>
        <translation>대비별 픽셀</translation>
    </message>
    <message>
        <source>Your attributes</source>
        <extracomment>How long figures have rested before their intervals are found, ms. Width of one small chart that the grid aims at, px.</extracomment>
        <translation>사용자 속성</translation>
    </message>
    <message>
        <source>Cumulative gain</source>
        <translation>누적 이득</translation>
    </message>
    <message>
        <source>Progress</source>
        <translation>진행 상황</translation>
    </message>
    <message>
        <source>Pixels</source>
        <translation>픽셀</translation>
    </message>
    <message>
        <source>Requires ground truth and scores of this ranking: open the Rankings page.</source>
        <translation>정답과 이 순위의 점수가 필요합니다. 순위 페이지를 여세요.</translation>
    </message>
    <message>
        <source>No image with ground truth has been analysed yet: press Refresh.</source>
        <translation>정답이 있는 이미지를 아직 분석하지 않았습니다. 새로 고침을 누르세요.</translation>
    </message>
    <message>
        <source>All scored images are reviewed</source>
        <extracomment>Name under which a project keeps the chosen ranking; older projects have it, so it stays. Label issues that are listed. While the folder is measured, what is shown follows at most this often.</extracomment>
        <translation>점수가 있는 모든 이미지를 검토했습니다</translation>
    </message>
    <message>
        <source>Run the model on the folder, or evaluate it first.</source>
        <translation>먼저 폴더에 모델을 실행하거나 평가하세요.</translation>
    </message>
    <message>
        <source>Computing ranking scores</source>
        <translation>순위 점수 계산 중</translation>
    </message>
    <message>
        <source>Downloading {name}</source>
        <extracomment>How often progress is shown.</extracomment>
        <translation>{name} 다운로드 중</translation>
    </message>
    <message>
        <source>Testing it…</source>
        <translation>시험하는 중…</translation>
    </message>
    <message>
        <source>Try again</source>
        <translation>다시 시도</translation>
    </message>
    <message>
        <source>Use model</source>
        <translation>모델 사용</translation>
    </message>
    <message>
        <source>The Clicks tool can use it.</source>
        <translation>클릭 도구에서 사용할 수 있습니다.</translation>
    </message>
    <message>
        <source>It is in the model list.</source>
        <translation>모델 목록에 있습니다.</translation>
    </message>
    <message>
        <source>{title} downloaded</source>
        <translation>{title} 다운로드됨</translation>
    </message>
    <message>
        <source>The file is kept, but cannot be used: {error}</source>
        <translation>파일은 보관되지만 사용할 수 없습니다: {error}</translation>
    </message>
    <message>
        <source>{model} on {folder}</source>
        <extracomment>Requests that wait in the compute process: one runs, the next is ready, and a cancel drops little. What follows the run that is being stopped, and whether the user had stopped that already.</extracomment>
        <translation>{folder}에 {model}</translation>
    </message>
    <message>
        <source>The folder run</source>
        <translation>폴더 실행</translation>
    </message>
    <message>
        <source>Folder run</source>
        <translation>폴더 실행</translation>
    </message>
    <message>
        <source>Restarting the folder run</source>
        <translation>폴더 실행을 다시 시작하는 중</translation>
    </message>
    <message>
        <source>Every image is predicted; your own pixels are kept.</source>
        <translation>모든 이미지를 예측합니다. 사용자의 픽셀은 그대로입니다.</translation>
    </message>
    <message>
        <source>Every image is predicted with {name}; your own pixels are kept.</source>
        <translation>{name}(으)로 모든 이미지를 예측합니다. 사용자의 픽셀은 그대로입니다.</translation>
    </message>
    <message>
        <source>{done} predicted ({reused} reused)</source>
        <translation>{done} 예측됨({reused} 재사용)</translation>
    </message>
    <message>
        <source>{done} predicted</source>
        <translation>{done} 예측됨</translation>
    </message>
    <message>
        <source>{left} left; &apos;Run folder&apos; continues there</source>
        <translation>{left} 남음. &apos;폴더에 실행&apos;이 이어서 합니다</translation>
    </message>
    <message>
        <source>Running on {name}</source>
        <translation>{name}에 실행 중</translation>
    </message>
    <message>
        <source>Replace by prediction</source>
        <translation>예측으로 바꾸기</translation>
    </message>
    <message>
        <source>{name}</source>
        <translation>{name}</translation>
    </message>
    <message>
        <source>{name} and CRF</source>
        <translation>{name}, CRF</translation>
    </message>
    <message>
        <source>starting…</source>
        <extracomment>Setting of a project: the user saw the notice that the model in use was made for other images. Bundled models for folders of the user, in the order in which they are tried. Settings of :class:`RunSettings`, each under ``model.``.</extracomment>
        <translation>시작 중…</translation>
    </message>
    <message>
        <source>It was last used from {folder}. Put it back, or choose another in the Model panel.</source>
        <translation>지난번에 {folder}에서 사용한 모델입니다. 파일을 되돌려 놓거나 모델 패널에서 다른 모델을 고르세요.</translation>
    </message>
    <message>
        <source>The model {name} was not found</source>
        <translation>모델 {name}을(를) 찾을 수 없습니다</translation>
    </message>
    <message>
        <source>no model</source>
        <translation>모델 없음</translation>
    </message>
    <message>
        <source>loading…</source>
        <translation>불러오는 중…</translation>
    </message>
    <message>
        <source>restarting…</source>
        <translation>다시 시작하는 중…</translation>
    </message>
    <message>
        <source>The model process ended</source>
        <translation>모델 프로세스가 끝났습니다</translation>
    </message>
    <message>
        <source>{reason} Your masks are safe; it is restarting.</source>
        <translation>{reason} 마스크는 안전합니다. 다시 시작하고 있습니다.</translation>
    </message>
    <message>
        <source>The model process is running again</source>
        <translation>모델 프로세스가 다시 실행 중입니다</translation>
    </message>
    <message>
        <source>It continues where it stopped.</source>
        <translation>멈춘 곳에서 계속합니다.</translation>
    </message>
    <message>
        <source>not responding</source>
        <translation>응답 없음</translation>
    </message>
    <message>
        <source>The model process is not responding</source>
        <translation>모델 프로세스가 응답하지 않습니다</translation>
    </message>
    <message>
        <source>{what} Your masks are safe. After a restart, the running computation starts over.</source>
        <translation>{what} 마스크는 안전합니다. 다시 시작하면 진행 중인 계산을 처음부터 다시 합니다.</translation>
    </message>
    <message>
        <source>Wait</source>
        <translation>기다리기</translation>
    </message>
    <message>
        <source>Restart</source>
        <translation>다시 시작</translation>
    </message>
    <message>
        <source>stopped</source>
        <translation>중지됨</translation>
    </message>
    <message>
        <source>The model process keeps crashing</source>
        <translation>모델 프로세스가 계속 중단됩니다</translation>
    </message>
    <message>
        <source>{reason} You can still correct and export.</source>
        <translation>{reason} 수정과 내보내기는 계속할 수 있습니다.</translation>
    </message>
    <message>
        <source>The model process is starting.</source>
        <translation>모델 프로세스를 시작하고 있습니다.</translation>
    </message>
    <message>
        <source>ground truth {name}, ambiguous: not counted</source>
        <extracomment>Scores are asked for at this pace while the pointer moves.</extracomment>
        <translation>정답 {name}, 모호함: 계산하지 않음</translation>
    </message>
    <message>
        <source>ground truth {name}</source>
        <translation>정답 {name}</translation>
    </message>
    <message>
        <source>model {scores}</source>
        <translation>모델 {scores}</translation>
    </message>
    <message>
        <source>confidence {confidence}</source>
        <translation>신뢰도 {confidence}</translation>
    </message>
    <message>
        <source>Reviewed images</source>
        <translation>검토한 이미지</translation>
    </message>
    <message>
        <source>Corrected and reviewed images</source>
        <translation>수정했거나 검토한 이미지</translation>
    </message>
    <message>
        <source>All images</source>
        <translation>모든 이미지</translation>
    </message>
    <message>
        <source>Counting what is lost</source>
        <extracomment>Classes that the message at the end of an export names.</extracomment>
        <translation>손실을 세는 중</translation>
    </message>
    <message>
        <source>Every pixel comes back.</source>
        <translation>모든 픽셀이 그대로 돌아옵니다.</translation>
    </message>
    <message>
        <source>Exporting</source>
        <translation>내보내는 중</translation>
    </message>
    <message>
        <source>Report of the data set</source>
        <translation>데이터 세트 보고서</translation>
    </message>
    <message>
        <source>Export again…</source>
        <translation>다시 내보내기…</translation>
    </message>
    <message>
        <source>In {images}: {what}.</source>
        <translation>{images}에서: {what}.</translation>
    </message>
    <message numerus="yes">
        <source>{n} image cannot be exported.</source>
        <comment>{n} images cannot be exported.</comment>
        <translation>
            <numerusform>이미지 {n}개를 내보낼 수 없습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>Splits: {numbers}.</source>
        <translation>분할: {numbers}.</translation>
    </message>
    <message numerus="yes">
        <source>{n} set of equal images kept together.</source>
        <comment>{n} sets of equal images kept together.</comment>
        <translation>
            <numerusform>같은 이미지 묶음 {n}개를 나누지 않았습니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image is in no list.</source>
        <comment>{n} images are in no list.</comment>
        <translation>
            <numerusform>이미지 {n}개가 어느 목록에도 없습니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} line of the lists names</source>
        <comment>{n} lines of the lists name</comment>
        <translation>
            <numerusform>목록에서 {n}줄이 가리키는</numerusform>
        </translation>
    </message>
    <message>
        <source>{lines} no exported image.</source>
        <translation>{lines} 내보낸 이미지가 없습니다.</translation>
    </message>
    <message>
        <source>{name}: {pixels} px ({share:.1%})</source>
        <translation>{name}: {pixels} px ({share:.1%})</translation>
    </message>
    <message>
        <source>The project is open for reading only; its list stays as it is.</source>
        <extracomment>Most folders that are watched; the rest is looked at when the window becomes active. Systems bound this, some at 256 files. Quiet time after the last event before it is passed on, in milliseconds: a file that is being copied sends many. Shortest pause between two looks at a folder, in seconds, and as a multiple of the time that the last one took. How long a look is put off while a stroke is painted or a job works on the folder, in milliseconds.</extracomment>
        <translation>프로젝트가 읽기 전용으로 열려 있으므로 목록은 그대로 유지됩니다.</translation>
    </message>
    <message>
        <source>The folder has changed</source>
        <translation>폴더가 바뀌었습니다</translation>
    </message>
    <message>
        <source>It is shown from memory. Your mask is kept and belongs to the image again when the file is back.</source>
        <translation>메모리에서 표시합니다. 마스크는 보관되며 파일이 돌아오면 다시 이미지와 연결됩니다.</translation>
    </message>
    <message>
        <source>{name} is missing</source>
        <translation>{name}이(가) 없습니다</translation>
    </message>
    <message>
        <source>It was reloaded.</source>
        <translation>다시 불러왔습니다.</translation>
    </message>
    <message>
        <source>{name} has changed on disk</source>
        <translation>{name}이(가) 디스크에서 바뀌었습니다</translation>
    </message>
    <message>
        <source>Your strokes are kept; check whether the mask still fits.</source>
        <translation>획은 그대로 있습니다. 마스크가 아직 맞는지 확인하세요.</translation>
    </message>
    <message>
        <source>Check whether the mask still fits.</source>
        <translation>마스크가 아직 맞는지 확인하세요.</translation>
    </message>
    <message>
        <source>Another program changed the mask file of {name}</source>
        <translation>다른 프로그램이 {name}의 마스크 파일을 바꾸었습니다</translation>
    </message>
    <message>
        <source>Your own mask and its steps are kept and shown. Read the file to see its content.</source>
        <translation>사용자의 마스크와 단계가 보관되어 표시됩니다. 내용을 보려면 파일을 읽으세요.</translation>
    </message>
    <message>
        <source>Read the file</source>
        <translation>파일 읽기</translation>
    </message>
    <message>
        <source>Keep my mask</source>
        <translation>내 마스크 유지</translation>
    </message>
    <message numerus="yes">
        <source>{n} image was added.</source>
        <comment>{n} images were added.</comment>
        <translation>
            <numerusform>이미지 {n}개가 추가되었습니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image was removed.</source>
        <comment>{n} images were removed.</comment>
        <translation>
            <numerusform>이미지 {n}개가 제거되었습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>image</source>
        <translation>이미지</translation>
    </message>
    <message>
        <source>{name}: this {thing} {summary}</source>
        <translation>{name}: 이 {thing} {summary}</translation>
    </message>
    <message>
        <source>{sentence} This is not repeated for other files.</source>
        <translation>{sentence} 다른 파일에서는 다시 알리지 않습니다.</translation>
    </message>
    <message>
        <source>{failures} failed: {names}</source>
        <extracomment>Setting of a project: the last change of a job over its folder. Setting: ask also before jobs that change no mask. Begins the job. The argument: do not ask again before jobs that change no mask. Failed images that the message at the end of a job names.</extracomment>
        <translation>{failures} 실패: {names}</translation>
    </message>
    <message>
        <source>{title} stopped</source>
        <translation>{title} 중단됨</translation>
    </message>
    <message>
        <source>{title} finished</source>
        <translation>{title} 완료</translation>
    </message>
    <message>
        <source>The run continued with the rest. Each image is listed with the reason; &apos;Run folder&apos; tries them again.</source>
        <translation>나머지는 계속 실행했습니다. 이미지마다 이유가 표시됩니다. &apos;폴더에 실행&apos;이 다시 시도합니다.</translation>
    </message>
    <message>
        <source>Show failures</source>
        <translation>실패 보기</translation>
    </message>
    <message>
        <source>What failed</source>
        <translation>실패한 항목</translation>
    </message>
    <message>
        <source>Undoing {title}</source>
        <translation>{title} 실행 취소 중</translation>
    </message>
    <message>
        <source>The undo ended before this image.</source>
        <translation>이 이미지 전에 실행 취소가 끝났습니다.</translation>
    </message>
    <message>
        <source>It has changed since the job.</source>
        <translation>작업 뒤에 바뀌었습니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} mask is as before the job.</source>
        <comment>{n} masks are as before the job.</comment>
        <translation>
            <numerusform>마스크 {n}개가 작업 전과 같습니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image changed since then and stays unchanged.</source>
        <comment>{n} images changed since then and stay unchanged.</comment>
        <translation>
            <numerusform>이미지 {n}개는 그 뒤에 바뀌어 그대로 둡니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image was not reached and stays unchanged.</source>
        <comment>{n} images were not reached and stay unchanged.</comment>
        <translation>
            <numerusform>이미지 {n}개에는 이르지 못해 그대로 둡니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} suggestion of the job is withdrawn.</source>
        <comment>{n} suggestions of the job are withdrawn.</comment>
        <translation>
            <numerusform>작업의 제안 {n}개를 거두었습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>Every other image is as it was before the job.</source>
        <translation>다른 모든 이미지는 작업 전과 같습니다.</translation>
    </message>
    <message>
        <source>Show unchanged images</source>
        <translation>바뀌지 않은 이미지 보기</translation>
    </message>
    <message>
        <source>What stays as it is</source>
        <translation>그대로 남는 항목</translation>
    </message>
    <message>
        <source>{title} was undone</source>
        <translation>{title}을(를) 실행 취소했습니다</translation>
    </message>
    <message>
        <source>Show</source>
        <translation>보기</translation>
    </message>
    <message>
        <source>{name} was skipped: {what}</source>
        <translation>{name}을(를) 건너뛰었습니다: {what}</translation>
    </message>
    <message>
        <source>{named}. The list shows the reason of each; type &apos;failed&apos; into its filter to see them all.</source>
        <translation>{named}. 목록에 각각의 이유가 표시됩니다. 모두 보려면 필터에 &apos;failed&apos;를 입력하세요.</translation>
    </message>
    <message numerus="yes">
        <source>{n} unreadable image was skipped</source>
        <comment>{n} unreadable images were skipped</comment>
        <translation>
            <numerusform>읽을 수 없는 이미지 {n}개를 건너뛰었습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>Run the model on them again to restore them; masks and corrections are not affected.</source>
        <translation>되살리려면 모델을 다시 실행하세요. 마스크와 수정 내용에는 영향이 없습니다.</translation>
    </message>
    <message>
        <source>Write the project again</source>
        <translation>프로젝트 다시 쓰기</translation>
    </message>
    <message>
        <source>Reopen the folder</source>
        <translation>폴더 다시 열기</translation>
    </message>
    <message>
        <source>The project was repaired</source>
        <translation>프로젝트를 복구했습니다</translation>
    </message>
    <message>
        <source>About this folder</source>
        <translation>이 폴더 정보</translation>
    </message>
    <message>
        <source>{name}: prediction lost</source>
        <translation>{name}: 예측을 잃음</translation>
    </message>
    <message numerus="yes">
        <source>The prediction of {n} image is lost</source>
        <comment>The predictions of {n} images are lost</comment>
        <translation>
            <numerusform>이미지 {n}개의 예측을 잃었습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>Their files are gone or damaged: {named}. {then}</source>
        <translation>파일이 없어졌거나 손상되었습니다: {named}. {then}</translation>
    </message>
    <message>
        <source>A damaged step was removed from the history</source>
        <translation>손상된 단계를 작업 기록에서 제거했습니다</translation>
    </message>
    <message>
        <source>&apos;{title}&apos;: {reason}. The mask and all other steps are kept, but undo and redo stop there.</source>
        <translation>&apos;{title}&apos;: {reason}. 마스크와 다른 모든 단계는 보관되지만, 실행 취소와 다시 실행이 거기서 멈춥니다.</translation>
    </message>
    <message>
        <source>A mask file was set aside</source>
        <translation>마스크 파일을 따로 치워 두었습니다</translation>
    </message>
    <message>
        <source>Everything is saved again</source>
        <translation>모두 다시 저장되었습니다</translation>
    </message>
    <message>
        <source>The project was written again</source>
        <translation>프로젝트를 다시 썼습니다</translation>
    </message>
    <message>
        <source>It is in {directory}.</source>
        <translation>위치: {directory}.</translation>
    </message>
    <message>
        <source>The project was written again, but some masks are lost</source>
        <translation>프로젝트를 다시 썼지만 일부 마스크를 잃었습니다</translation>
    </message>
    <message>
        <source>Their files were lost with the old folder, and the journal does not reach back far enough: {names}.</source>
        <translation>그 파일들은 예전 폴더와 함께 사라졌고, 저널이 그만큼 거슬러 올라가지 못합니다: {names}.</translation>
    </message>
    <message>
        <source>The import of labels</source>
        <extracomment>Longer side of the picture in dialogs, px. Masks that are read to find out which classes occur, and images that are looked at for their frame.</extracomment>
        <translation>라벨 가져오기</translation>
    </message>
    <message>
        <source>Importing {format}</source>
        <translation>{format} 가져오는 중</translation>
    </message>
    <message>
        <source>Reading {name}</source>
        <translation>{name} 읽는 중</translation>
    </message>
    <message>
        <source>Import {format}</source>
        <extracomment>Most images that an import works on at a time: each takes some twenty bytes a pixel.</extracomment>
        <translation>{format} 가져오기</translation>
    </message>
    <message>
        <source>Show summary</source>
        <translation>요약 보기</translation>
    </message>
    <message numerus="yes">
        <source>Labels of {n} image imported</source>
        <comment>Labels of {n} images imported</comment>
        <translation>
            <numerusform>이미지 {n}개의 라벨을 가져왔습니다</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image had these labels already</source>
        <comment>{n} images had these labels already</comment>
        <translation>
            <numerusform>이미지 {n}개는 이미 같은 라벨이었습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>Import {format}, {pixels} px</source>
        <translation>{format} 가져오기, {pixels} px</translation>
    </message>
    <message>
        <source>Opening {name}</source>
        <extracomment>Longer side of the pictures of a conflict, px.</extracomment>
        <translation>{name} 여는 중</translation>
    </message>
    <message>
        <source>this is the project that is open</source>
        <translation>지금 열려 있는 프로젝트입니다</translation>
    </message>
    <message>
        <source>Choose the folder of the other user</source>
        <translation>다른 사용자의 폴더를 고르세요</translation>
    </message>
    <message>
        <source>Comparing with {name}</source>
        <translation>{name}와(과) 비교 중</translation>
    </message>
    <message>
        <source>The merge</source>
        <translation>병합</translation>
    </message>
    <message>
        <source>Merging with {name}</source>
        <translation>{name}와(과) 병합 중</translation>
    </message>
    <message>
        <source>{images} took labels of the other user: {pixels}</source>
        <translation>{images}에 다른 사용자의 라벨 적용: {pixels}</translation>
    </message>
    <message numerus="yes">
        <source>{n} image with conflicts stays as it is until you decide</source>
        <comment>{n} images with conflicts stay as they are until you decide</comment>
        <translation>
            <numerusform>충돌이 있는 이미지 {n}개는 결정할 때까지 그대로 둡니다</numerusform>
        </translation>
    </message>
    <message>
        <source>Merge with {name}</source>
        <translation>{name}와(과) 병합</translation>
    </message>
    <message>
        <source>Open read-only</source>
        <translation>읽기 전용으로 열기</translation>
    </message>
    <message>
        <source>Changing the classes</source>
        <translation>클래스 변경 중</translation>
    </message>
    <message>
        <source>Nothing has changed.</source>
        <translation>바뀐 것이 없습니다.</translation>
    </message>
    <message>
        <source>Folder rescanned</source>
        <translation>폴더를 다시 검색했습니다</translation>
    </message>
    <message>
        <source>Mask recovered from the journal</source>
        <translation>저널에서 마스크를 복구했습니다</translation>
    </message>
    <message>
        <source>This is the last image</source>
        <translation>마지막 이미지입니다</translation>
    </message>
    <message>
        <source>Every image in the list is reviewed</source>
        <translation>목록의 모든 이미지를 검토했습니다</translation>
    </message>
    <message>
        <source>Export the masks with Ctrl+E.</source>
        <translation>Ctrl+E로 마스크를 내보내세요.</translation>
    </message>
    <message>
        <source>Looking through {name}</source>
        <extracomment>Images that are tried for the picture, if the first ones cannot be read. Ground truth, and the classes to choose from because of it, likeliest first.</extracomment>
        <translation>{name} 살펴보는 중</translation>
    </message>
    <message>
        <source>No model yet, but masks were found</source>
        <extracomment>Name of a folder of masks to correct, as the sample project has one. Ground truth has other names.</extracomment>
        <translation>아직 모델이 없지만 마스크를 찾았습니다</translation>
    </message>
    <message>
        <source>Start from the masks in {short}? They are not changed.</source>
        <translation>{short}의 마스크에서 시작할까요? 그 파일은 바뀌지 않습니다.</translation>
    </message>
    <message>
        <source>Use these masks</source>
        <translation>이 마스크 사용</translation>
    </message>
    <message>
        <source>{name} is no longer rejected</source>
        <translation>{name}의 반려를 취소했습니다</translation>
    </message>
    <message>
        <source>{name} is rejected</source>
        <translation>{name}을(를) 반려했습니다</translation>
    </message>
    <message>
        <source>Its labels stay; exports leave them out unless you choose otherwise.</source>
        <translation>라벨은 남습니다. 따로 선택하지 않으면 내보내기에서 빠집니다.</translation>
    </message>
    <message>
        <source>Note: {text}</source>
        <translation>메모: {text}</translation>
    </message>
    <message>
        <source>Change a note: {text}</source>
        <translation>메모 변경: {text}</translation>
    </message>
    <message>
        <source>Delete a note: {text}</source>
        <translation>메모 삭제: {text}</translation>
    </message>
    <message>
        <source>Reading frames of {name}</source>
        <translation>{name}의 프레임 읽는 중</translation>
    </message>
    <message>
        <source>{kept} were there.</source>
        <translation>{kept} 있었음.</translation>
    </message>
    <message numerus="yes">
        <source>{n} frame</source>
        <comment>{n} frames</comment>
        <translation>
            <numerusform>프레임 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>{failed} could not be decoded.</source>
        <translation>{failed}개를 디코딩할 수 없었습니다.</translation>
    </message>
    <message>
        <source>Open the video again to go on.</source>
        <translation>계속하려면 동영상을 다시 여세요.</translation>
    </message>
    <message>
        <source>{written} written to {folder}</source>
        <translation>{folder}에 {written} 저장됨</translation>
    </message>
    <message>
        <source>the CRF, {title}</source>
        <translation>CRF, {title}</translation>
    </message>
    <message>
        <source>the CRF</source>
        <translation>CRF</translation>
    </message>
    <message>
        <source>CRF, {preset}</source>
        <translation>CRF, {preset}</translation>
    </message>
    <message>
        <source>CRF on the folder</source>
        <translation>폴더에 CRF 적용</translation>
    </message>
    <message>
        <source>Prediction</source>
        <translation>예측</translation>
    </message>
    <message>
        <source>the model&apos;s classes are not matched to the project&apos;s</source>
        <translation>모델의 클래스가 프로젝트의 클래스에 연결되지 않았습니다</translation>
    </message>
    <message>
        <source>Choose &apos;Match model classes…&apos; in the menu Model</source>
        <translation>모델 메뉴에서 &apos;모델 클래스 연결…&apos;을 고르세요</translation>
    </message>
    <message>
        <source>with CRF</source>
        <translation>CRF 적용</translation>
    </message>
    <message>
        <source>no scores</source>
        <extracomment>Delay of the preview after the last change of the mask, in milliseconds.</extracomment>
        <translation>점수 없음</translation>
    </message>
    <message>
        <source>CRF in outline</source>
        <translation>윤곽 안 CRF</translation>
    </message>
    <message>
        <source>No band to refine yet</source>
        <translation>아직 정제할 밴드가 없습니다</translation>
    </message>
    <message>
        <source>It requires ground truth, or a mask with class edges.</source>
        <translation>정답이나 클래스 가장자리가 있는 마스크가 필요합니다.</translation>
    </message>
    <message>
        <source>CRF in band</source>
        <translation>밴드 안 CRF</translation>
    </message>
    <message>
        <source>The CRF changes nothing here</source>
        <translation>여기서는 CRF로 바뀌는 것이 없습니다</translation>
    </message>
    <message>
        <source>{name}, mask itself</source>
        <translation>{name}, 마스크 자체</translation>
    </message>
    <message>
        <source>{name}, {preset}</source>
        <translation>{name}, {preset}</translation>
    </message>
    <message>
        <source>You painted {count} px there, and refinement does not change those.</source>
        <translation>거기에 직접 칠한 {count} px가 있으며 정제는 이를 바꾸지 않습니다.</translation>
    </message>
    <message>
        <source>Custom</source>
        <extracomment>What the dock starts with. Name of parameters that are not a preset.</extracomment>
        <translation>사용자 지정</translation>
    </message>
    <message>
        <source>Set with the sliders</source>
        <translation>슬라이더로 설정</translation>
    </message>
    <message>
        <source>ground truth</source>
        <extracomment>Features that follow the work from the start, whether they are shown or not. Name in the table of commands -&gt; attribute of :class:`Program`.</extracomment>
        <translation>정답</translation>
    </message>
    <message>
        <source>not started</source>
        <translation>시작 안 됨</translation>
    </message>
    <message>
        <source>A setting was not used</source>
        <extracomment>Names of files that get the time of the first painted frame, and of the first painted picture; for the start-up benchmark.</extracomment>
        <translation>설정 하나를 사용하지 않았습니다</translation>
    </message>
    <message>
        <source>Please report this with the details</source>
        <translation>자세한 내용과 함께 이 문제를 알려 주세요</translation>
    </message>
    <message>
        <source>Undo {step}</source>
        <extracomment>Delay of the mask file after the last step. The journal is flushed to the disk after this delay, for the sake of power cuts.</extracomment>
        <translation>{step} 실행 취소</translation>
    </message>
    <message>
        <source>the mask could not be saved</source>
        <translation>마스크를 저장할 수 없었습니다</translation>
    </message>
    <message>
        <source>{kind}: {error}</source>
        <translation>{kind}: {error}</translation>
    </message>
    <message>
        <source>it may be too large for the memory of this device</source>
        <extracomment>A cancelled request that is not answered after this is ended together with its process, in seconds in which it could work. A process that has not said Hello after this is taken for dead, in seconds. Importing torch from a cold disk takes long. Waiting time before the first, second and third restart within a minute, in seconds. Time between two looks for a heartbeat, in milliseconds. A process that still does not answer is reported again after this, in seconds. A request during which the process died this often is given up.</extracomment>
        <translation>이 장치의 메모리에 비해 너무 클 수 있습니다</translation>
    </message>
    <message>
        <source>it did not answer and was ended at your request</source>
        <translation>응답하지 않아 요청에 따라 종료했습니다</translation>
    </message>
    <message>
        <source>{reason}. {remedy}</source>
        <translation>{reason}. {remedy}</translation>
    </message>
    <message>
        <source>it uses protocol version {protocol}, this window version {own}; reinstall Atrous</source>
        <translation>프로토콜 버전 {protocol}을(를) 쓰는데 이 창은 버전 {own}입니다. Atrous를 다시 설치하세요</translation>
    </message>
    <message>
        <source>it has loaded {qt_modules}, which must stay in the window&apos;s process</source>
        <translation>창의 프로세스에만 있어야 하는 {qt_modules}을(를) 불러왔습니다</translation>
    </message>
    <message>
        <source>The compute process was refused: {refusal}.</source>
        <translation>계산 프로세스를 거부했습니다: {refusal}.</translation>
    </message>
    <message numerus="yes">
        <source>The compute process died {n} time within a minute: {reason}.</source>
        <comment>The compute process died {n} times within a minute: {reason}.</comment>
        <translation>
            <numerusform>계산 프로세스가 1분 안에 {n}번 중단되었습니다: {reason}.</numerusform>
        </translation>
    </message>
    <message>
        <source>loading this model ended the compute process twice</source>
        <translation>이 모델을 불러오다가 계산 프로세스가 두 번 끝났습니다</translation>
    </message>
    <message>
        <source>Choose another model, or the CPU as device</source>
        <translation>다른 모델을 고르거나 장치를 CPU로 바꾸세요</translation>
    </message>
    <message>
        <source>it did not start within {seconds:.0f} seconds and was ended</source>
        <translation>{seconds:.0f}초 안에 시작하지 않아 종료했습니다</translation>
    </message>
    <message>
        <source>it did not stop a cancelled request within {seconds:.0f} seconds and was ended</source>
        <translation>취소한 요청을 {seconds:.0f}초 안에 멈추지 않아 종료했습니다</translation>
    </message>
    <message>
        <source>while it was starting</source>
        <translation>시작하는 동안</translation>
    </message>
    <message>
        <source>while it was loading the model</source>
        <translation>모델을 불러오는 동안</translation>
    </message>
    <message>
        <source>while it had nothing to do</source>
        <translation>할 일이 없는 동안</translation>
    </message>
    <message>
        <source>at {name}</source>
        <translation>{name}에서</translation>
    </message>
    <message>
        <source>at work</source>
        <translation>작업 중에</translation>
    </message>
    <message>
        <source>No response for {silence:.0f} seconds, {doing}.</source>
        <translation>{silence:.0f}초 동안 응답이 없습니다({doing}).</translation>
    </message>
    <message>
        <source>The system has suspended it.</source>
        <translation>시스템이 일시 중지했습니다.</translation>
    </message>
    <message>
        <source>predicting this image ended the compute process twice</source>
        <translation>이 이미지를 예측하다가 계산 프로세스가 두 번 끝났습니다</translation>
    </message>
    <message>
        <source>Choose one scale, a larger output stride or the CPU in the Model panel, then predict it again</source>
        <translation>모델 패널에서 배율 하나, 더 큰 출력 스트라이드 또는 CPU를 고른 뒤 다시 예측하세요</translation>
    </message>
    <message>
        <source>this request ended the compute process twice</source>
        <translation>이 요청으로 계산 프로세스가 두 번 끝났습니다</translation>
    </message>
    <message>
        <source>the compute process is not running</source>
        <translation>계산 프로세스가 실행 중이 아닙니다</translation>
    </message>
    <message>
        <source>Choose &apos;Restart the model process&apos; in the command palette; labelling and saving go on without it</source>
        <translation>명령 팔레트에서 &apos;모델 프로세스 다시 시작&apos;을 고르세요. 라벨링과 저장은 그대로 계속됩니다</translation>
    </message>
    <message>
        <source>it could not be started ({error})</source>
        <extracomment>How long Shutdown may take before the process is killed, in seconds.</extracomment>
        <translation>시작할 수 없었습니다({error})</translation>
    </message>
    <message>
        <source>it sent something unreadable ({name}: {error})</source>
        <translation>읽을 수 없는 내용을 보냈습니다({name}: {error})</translation>
    </message>
    <message>
        <source>it stopped responding</source>
        <extracomment>Time between two beats, in seconds. A process that computes nothing and is not heard for this long is reported, in seconds: within 10 s of its last beat. The same for a process that evidently works: a long call into a library can keep the thread that beats from running. One tick of the watch counts for at most this long, in seconds; the rest was sleep, or a window that did not run itself. A process works if it used this share of a core over this time, in seconds. Threads that only wait for each other use less.</extracomment>
        <translation>응답을 멈추었습니다</translation>
    </message>
    <message>
        <source>it ended with status {exit_code}</source>
        <translation>상태 {exit_code}(으)로 끝났습니다</translation>
    </message>
    <message>
        <source>signal {exit_code}</source>
        <translation>신호 {exit_code}</translation>
    </message>
    <message>
        <source>often the system was short of memory</source>
        <translation>시스템 메모리가 부족한 경우가 많습니다</translation>
    </message>
    <message>
        <source>an error in a native library</source>
        <translation>네이티브 라이브러리의 오류</translation>
    </message>
    <message>
        <source>it was ended by {name}</source>
        <translation>{name}에 의해 종료되었습니다</translation>
    </message>
    <message>
        <source>{ended}; {hint}</source>
        <translation>{ended}. {hint}</translation>
    </message>
    <message>
        <source>Streets from a car in CamVid&apos;s 11 classes; weak on people, signs and pavement; research only</source>
        <extracomment>Fewer classes have no best and weakest ones that differ. What the cards of the bundled models say of themselves and of the images that their figures belong to.</extracomment>
        <translation>자동차에서 본 거리, CamVid의 11개 클래스; 사람, 표지판, 보도에 약함; 연구용</translation>
    </message>
    <message>
        <source>Photographs in PASCAL VOC&apos;s 21 classes: people, animals, vehicles, indoors; weak on chairs, tables and plants</source>
        <translation>사진, PASCAL VOC의 21개 클래스: 사람, 동물, 탈것, 실내; 의자, 탁자, 화분에 약함</translation>
    </message>
    <message>
        <source>Furniture in rendered rooms: chairs, sofas, tables, plants, TV sets, bottles; weak on photographs</source>
        <translation>렌더링한 방의 가구: 의자, 소파, 탁자, 화분, TV, 병; 사진에 약함</translation>
    </message>
    <message>
        <source>101 frames of a CamVid drive that it never saw</source>
        <translation>학습에 쓰지 않은 CamVid 주행의 프레임 101개</translation>
    </message>
    <message>
        <source>99 labelled photographs, each by a network that did not train on it (five folds)</source>
        <translation>라벨이 있는 사진 99장(각 사진은 그 사진으로 학습하지 않은 네트워크가 예측, 5겹)</translation>
    </message>
    <message>
        <source>the 24 rooms of the sample project, which it never saw</source>
        <translation>학습에 쓰지 않은 샘플 프로젝트의 방 24개</translation>
    </message>
    <message>
        <source>{count} validation images</source>
        <translation>검증 이미지 {count}개</translation>
    </message>
    <message>
        <source>its validation images</source>
        <translation>검증 이미지</translation>
    </message>
    <message>
        <source>mIoU {miou:.1f} on {on}</source>
        <translation>{on}에서 mIoU {miou:.1f}</translation>
    </message>
    <message>
        <source>{text}; best: {best}; weakest: {weakest}</source>
        <translation>{text}. 최고: {best}, 최저: {weakest}</translation>
    </message>
    <message>
        <source>mIoU {miou:.1f} on {on}, as published</source>
        <translation>공개된 값: {on}에서 mIoU {miou:.1f}</translation>
    </message>
    <message>
        <source>the settings file</source>
        <extracomment>Keys of earlier versions, and what they are called now. The file is written with the new names only. Changes are written after this pause, so that a dragged slider writes once.</extracomment>
        <translation>설정 파일</translation>
    </message>
    <message>
        <source>the settings file could not be read ({what}: {why})</source>
        <translation>설정 파일을 읽을 수 없었습니다({what}: {why})</translation>
    </message>
    <message>
        <source>{problem}; it is left unchanged, and settings are not saved</source>
        <translation>{problem}. 파일은 그대로 두며 설정은 저장되지 않습니다</translation>
    </message>
    <message>
        <source>{problem}; it was set aside as {name}</source>
        <translation>{problem}. 파일을 {name}(으)로 치워 두었습니다</translation>
    </message>
    <message>
        <source>the activity of this image</source>
        <extracomment>Kind of the project&apos;s results that holds activity. Seconds of a quarter of an hour. A longer time without a sign of the user, in seconds, is a pause and does not count.</extracomment>
        <translation>이 이미지의 작업 시간 기록</translation>
    </message>
    <message>
        <source>It is counted again from now on</source>
        <translation>지금부터 다시 셉니다</translation>
    </message>
    <message>
        <source>the activity of this image cannot be read</source>
        <translation>이 이미지의 작업 시간 기록을 읽을 수 없습니다</translation>
    </message>
    <message numerus="yes">
        <source>{n} saved mask was taken up again.</source>
        <comment>{n} saved masks were taken up again.</comment>
        <translation>
            <numerusform>저장된 마스크 {n}개를 다시 연결했습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>The database that knew them is lost, with statuses, undo steps and strokes that no mask holds.</source>
        <translation>이를 알던 데이터베이스를 잃었습니다. 상태, 실행 취소 단계, 마스크에 없는 획도 함께 잃었습니다.</translation>
    </message>
    <message>
        <source>the ambiguous regions are of {width} x {height} px, the ground truth of {other_width} x {other_height} px</source>
        <extracomment>Kind of the project&apos;s results that holds marks; the folder scan knows it too.</extracomment>
        <translation>모호한 영역은 {width} x {height} px, 정답은 {other_width} x {other_height} px입니다</translation>
    </message>
    <message>
        <source>Unmark them in the Evaluation panel, or give the image its old size back</source>
        <translation>평가 패널에서 표시를 지우거나 이미지를 예전 크기로 되돌리세요</translation>
    </message>
    <message>
        <source>nothing can be marked here</source>
        <translation>여기에는 아무것도 표시할 수 없습니다</translation>
    </message>
    <message>
        <source>Open the project to edit</source>
        <translation>편집하려면 프로젝트를 여세요</translation>
    </message>
    <message>
        <source>{damaged} of {count} records of ambiguous regions are damaged and were left out</source>
        <translation>모호한 영역 기록 {count}개 중 {damaged}개가 손상되어 제외했습니다</translation>
    </message>
    <message>
        <source>Mark these regions again; the others were exported</source>
        <translation>이 영역을 다시 표시하세요. 나머지는 내보냈습니다</translation>
    </message>
    <message>
        <source>the record of ambiguous regions of this image</source>
        <translation>이 이미지의 모호한 영역 기록</translation>
    </message>
    <message>
        <source>Mark them again</source>
        <translation>다시 표시하세요</translation>
    </message>
    <message>
        <source>no daily copy of the project was made</source>
        <extracomment>So many daily copies are kept. Pages that are copied before the copy asks whether it should stop, and bytes that stay free on the disk for saving.</extracomment>
        <translation>프로젝트의 일일 사본을 만들지 못했습니다</translation>
    </message>
    <message>
        <source>The disk is nearly full</source>
        <translation>디스크가 거의 가득 찼습니다</translation>
    </message>
    <message>
        <source>Free some space</source>
        <translation>공간을 확보하세요</translation>
    </message>
    <message>
        <source>there is no daily copy of this project</source>
        <translation>이 프로젝트의 일일 사본이 없습니다</translation>
    </message>
    <message>
        <source>A copy is made once a day while the project is open in the window</source>
        <translation>사본은 창에서 프로젝트가 열려 있는 동안 하루에 한 번 만들어집니다</translation>
    </message>
    <message>
        <source>If the database is lost, open the folder: saved masks are taken up again</source>
        <translation>데이터베이스를 잃었다면 폴더를 여세요. 저장된 마스크를 다시 연결합니다</translation>
    </message>
    <message>
        <source>There are: {names}</source>
        <translation>있는 것: {names}</translation>
    </message>
    <message>
        <source>there is no copy {name}</source>
        <translation>사본 {name}이(가) 없습니다</translation>
    </message>
    <message>
        <source>Choose one of them</source>
        <translation>그중 하나를 고르세요</translation>
    </message>
    <message>
        <source>the copy cannot be restored</source>
        <translation>사본을 복원할 수 없습니다</translation>
    </message>
    <message>
        <source>no copy can be restored</source>
        <translation>복원할 수 있는 사본이 없습니다</translation>
    </message>
    <message>
        <source>Choose another with --from, see --list</source>
        <translation>--from으로 다른 것을 고르세요. --list로 볼 수 있습니다</translation>
    </message>
    <message>
        <source>it is not a project of this version</source>
        <translation>이 버전의 프로젝트가 아닙니다</translation>
    </message>
    <message>
        <source>it is not as Atrous made it: {object}</source>
        <translation>Atrous가 만든 그대로가 아닙니다: {object}</translation>
    </message>
    <message>
        <source>it is damaged: {problem}</source>
        <translation>손상되었습니다: {problem}</translation>
    </message>
    <message>
        <source>The disk is full</source>
        <extracomment>Bound of one setting in the ``meta`` table, bytes. Files that SQLite and we keep beside the database. Those of them that hold no work: the index of the log, and the count of transactions. What SQLite raises through Python; the message about a damaged schema quotes it, which need not be text.</extracomment>
        <translation>디스크가 가득 찼습니다</translation>
    </message>
    <message>
        <source>Free some space; saving goes on by itself</source>
        <translation>공간을 확보하세요. 저장은 저절로 계속됩니다</translation>
    </message>
    <message>
        <source>The project folder is read-only</source>
        <translation>프로젝트 폴더가 읽기 전용입니다</translation>
    </message>
    <message>
        <source>Make it writable, or open the folder with --project DIR</source>
        <translation>쓸 수 있게 하거나 --project DIR로 폴더를 여세요</translation>
    </message>
    <message>
        <source>The project folder cannot be written</source>
        <translation>프로젝트 폴더에 쓸 수 없습니다</translation>
    </message>
    <message>
        <source>The project folder may not be written</source>
        <translation>프로젝트 폴더에 쓸 권한이 없습니다</translation>
    </message>
    <message>
        <source>Another program is using the project&apos;s database</source>
        <translation>다른 프로그램이 프로젝트의 데이터베이스를 사용하고 있습니다</translation>
    </message>
    <message>
        <source>Close it; saving goes on by itself</source>
        <translation>그 프로그램을 닫으세요. 저장은 저절로 계속됩니다</translation>
    </message>
    <message>
        <source>The disk reports an error</source>
        <translation>디스크가 오류를 보고합니다</translation>
    </message>
    <message>
        <source>Check the disk; saving goes on by itself</source>
        <translation>디스크를 확인하세요. 저장은 저절로 계속됩니다</translation>
    </message>
    <message>
        <source>this is not a project of Atrous</source>
        <extracomment>A disk with less than this is full: the index of the log grows by 32 KiB. One statement may run so many steps of SQLite&apos;s machine, and so many more per byte of the file. The largest of ours, over 100,000 images, needs some ten million; pages that refer to each other in a crafted file give rows without end. Begins a text that stands for one with foreign bytes. No relative path begins so.</extracomment>
        <translation>Atrous 프로젝트가 아닙니다</translation>
    </message>
    <message>
        <source>Choose another project folder</source>
        <translation>다른 프로젝트 폴더를 고르세요</translation>
    </message>
    <message>
        <source>the project&apos;s database is damaged</source>
        <extracomment>Most records that are looked at one by one; of more, all are read again.</extracomment>
        <translation>프로젝트의 데이터베이스가 손상되었습니다</translation>
    </message>
    <message>
        <source>A row holds {found} where {expected} belongs</source>
        <translation>한 행에 {expected} 대신 {found}이(가) 있습니다</translation>
    </message>
    <message>
        <source>Open the folder again: the file is set aside, and what can be read of it is kept</source>
        <translation>폴더를 다시 여세요. 파일은 따로 치워 두고, 읽을 수 있는 내용은 보관합니다</translation>
    </message>
    <message>
        <source>It holds more rows than a file of its size can</source>
        <translation>파일 크기로 가능한 것보다 행이 많습니다</translation>
    </message>
    <message>
        <source>{file} was moved; everything is still in memory</source>
        <translation>{file}이(가) 옮겨졌습니다. 모든 내용은 아직 메모리에 있습니다</translation>
    </message>
    <message>
        <source>The database reports: {error}</source>
        <translation>데이터베이스의 보고: {error}</translation>
    </message>
    <message>
        <source>the project cannot be saved</source>
        <translation>프로젝트를 저장할 수 없습니다</translation>
    </message>
    <message>
        <source>the project was removed or replaced while it was open</source>
        <translation>프로젝트가 열려 있는 동안 제거되거나 바뀌었습니다</translation>
    </message>
    <message>
        <source>Write the project again, or, if you moved the folder, close this window and open it at its new place</source>
        <translation>프로젝트를 다시 쓰세요. 폴더를 옮겼다면 이 창을 닫고 새 위치에서 여세요</translation>
    </message>
    <message>
        <source>a file cannot be set aside</source>
        <translation>파일을 따로 치워 둘 수 없습니다</translation>
    </message>
    <message>
        <source>Check the folder&apos;s rights</source>
        <translation>폴더의 권한을 확인하세요</translation>
    </message>
    <message>
        <source>the project&apos;s setting {key}</source>
        <translation>프로젝트의 설정 {key}</translation>
    </message>
    <message>
        <source>Open the folder again: the database is set aside, and what can be read of it is kept</source>
        <translation>폴더를 다시 여세요. 데이터베이스는 따로 치워 두고, 읽을 수 있는 내용은 보관합니다</translation>
    </message>
    <message>
        <source>It has no class for {names}</source>
        <extracomment>``certain``: the ground truth determines it; ``labels``: the ground truth allows it and the project is labelled in it; the others as for the ground truth (:data:`app.state.ground_truth.How`). Setting that keeps who chose the classes; the classes themselves are the project&apos;s catalog. Setting with the ids of classes that are not drawn. Masks that a preview reads, spread evenly over the folder.</extracomment>
        <translation>{names}에 해당하는 클래스가 없습니다</translation>
    </message>
    <message>
        <source>Its id {class_id} is {found}, not {expected}</source>
        <translation>ID {class_id}은(는) {expected}이(가) 아니라 {found}입니다</translation>
    </message>
    <message>
        <source>Its masks have another number of bits</source>
        <translation>마스크의 비트 수가 다릅니다</translation>
    </message>
    <message>
        <source>{pixels:,} px are {name}, and the id {class_id} would be {new}</source>
        <translation>{pixels:,} px가 {name}이며, ID {class_id}은(는) {new}이(가) 됩니다</translation>
    </message>
    <message>
        <source>{pixels:,} px are {name}, which it has not</source>
        <translation>{pixels:,} px가 {name}인데, 여기에는 없습니다</translation>
    </message>
    <message numerus="yes">
        <source>{named}; {n} more</source>
        <comment>{named}; {n} more</comment>
        <translation>
            <numerusform>{named}. 그 밖에 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>No pixel has one of the classes that would be lost, but undo steps may. &apos;atrous classes edit FOLDER --delete NAME&apos; removes a class, e.g. {name}</source>
        <translation>없어질 클래스의 픽셀은 없지만 실행 취소 단계에는 있을 수 있습니다. &apos;atrous classes edit FOLDER --delete NAME&apos;이 클래스를 제거합니다. 예: {name}</translation>
    </message>
    <message>
        <source>The project keeps its classes ({classes}) instead of those that you named: {reason}.</source>
        <translation>프로젝트는 지정한 클래스 대신 자체 클래스({classes})를 유지합니다: {reason}.</translation>
    </message>
    <message>
        <source>it is read-only</source>
        <translation>읽기 전용입니다</translation>
    </message>
    <message>
        <source>it has labelled images</source>
        <translation>라벨이 있는 이미지가 있습니다</translation>
    </message>
    <message>
        <source>You named them when the folder was opened</source>
        <translation>폴더를 열 때 지정했습니다</translation>
    </message>
    <message>
        <source>the classes cannot become {title}, because you worked on {images} in other ids</source>
        <translation>{images}에서 다른 ID로 작업했으므로 클래스를 {title}(으)로 바꿀 수 없습니다</translation>
    </message>
    <message>
        <source>Keep the classes, or begin a new project with --project DIR</source>
        <translation>클래스를 유지하거나 --project DIR로 새 프로젝트를 시작하세요</translation>
    </message>
    <message>
        <source>the catalog cannot replace the project&apos;s, because images are already labelled</source>
        <extracomment>Kind of the result that records which edits an image&apos;s labels have followed. What a damaged or strange record of edits raises.</extracomment>
        <translation>라벨이 있는 이미지가 있어 이 카탈로그로 프로젝트의 카탈로그를 바꿀 수 없습니다</translation>
    </message>
    <message>
        <source>It lacks: {names}</source>
        <translation>없는 항목: {names}</translation>
    </message>
    <message>
        <source>Keep every id of the old catalog, or use a new project with --project DIR</source>
        <translation>예전 카탈로그의 모든 ID를 유지하거나 --project DIR로 새 프로젝트를 쓰세요</translation>
    </message>
    <message>
        <source>the masks would have another number of bits</source>
        <translation>마스크의 비트 수가 달라집니다</translation>
    </message>
    <message>
        <source>They have {bits} bits</source>
        <translation>{bits}비트입니다</translation>
    </message>
    <message>
        <source>Begin a new project with a class list of the other size, and import the exported masks there</source>
        <translation>크기가 다른 클래스 목록으로 거기서 새 프로젝트를 시작하고, 내보낸 마스크를 가져오세요</translation>
    </message>
    <message>
        <source>the edit moves an id that is not in the catalog</source>
        <translation>편집이 카탈로그에 없는 ID를 옮깁니다</translation>
    </message>
    <message>
        <source>Choose a class that is listed</source>
        <translation>목록에 있는 클래스를 고르세요</translation>
    </message>
    <message>
        <source>there is no edit of the classes to undo</source>
        <translation>실행 취소할 클래스 편집이 없습니다</translation>
    </message>
    <message>
        <source>Only the newest one can be undone, once</source>
        <translation>가장 최근 편집만 한 번 실행 취소할 수 있습니다</translation>
    </message>
    <message>
        <source>The classes were not edited</source>
        <translation>클래스를 편집하지 않았습니다</translation>
    </message>
    <message>
        <source>Edit the classes again instead</source>
        <translation>대신 클래스를 다시 편집하세요</translation>
    </message>
    <message>
        <source>the id {class_id} was used by a class that is gone</source>
        <translation>ID {class_id}은(는) 없어진 클래스가 쓰던 것입니다</translation>
    </message>
    <message>
        <source>Masks and ground truth may still hold it</source>
        <translation>마스크와 정답에 아직 있을 수 있습니다</translation>
    </message>
    <message>
        <source>Give the class another id, or begin a new project with --project DIR</source>
        <translation>클래스에 다른 ID를 주거나 --project DIR로 새 프로젝트를 시작하세요</translation>
    </message>
    <message>
        <source>Classes: {edit}</source>
        <translation>클래스: {edit}</translation>
    </message>
    <message>
        <source>{pixels} px had ids that no class of the project has; they became void.</source>
        <translation>{pixels} px의 ID가 프로젝트의 어떤 클래스에도 없어 void가 되었습니다.</translation>
    </message>
    <message>
        <source>Classes: ids without a class</source>
        <translation>클래스: 클래스 없는 ID</translation>
    </message>
    <message>
        <source>&apos;{edit}&apos; could not be undone on this image: its undo steps are gone.</source>
        <translation>이 이미지에서 &apos;{edit}&apos;을(를) 실행 취소할 수 없었습니다. 실행 취소 단계가 없어졌습니다.</translation>
    </message>
    <message>
        <source>Classes: undo {edit}</source>
        <translation>클래스: {edit} 실행 취소</translation>
    </message>
    <message>
        <source>Its edits of the classes cannot be read: {error}</source>
        <translation>클래스 편집 기록을 읽을 수 없습니다: {error}</translation>
    </message>
    <message>
        <source>{key} is not a key of a class</source>
        <extracomment>Settings of a project: the assigned keys, and what an earlier version kept (every key of the first ten classes).</extracomment>
        <translation>{key}은(는) 클래스 키가 아닙니다</translation>
    </message>
    <message>
        <source>Give one digit</source>
        <translation>숫자 하나를 지정하세요</translation>
    </message>
    <message>
        <source>{key} is the key of &apos;{class_name}&apos;</source>
        <translation>{key}은(는) &apos;{class_name}&apos;의 키입니다</translation>
    </message>
    <message>
        <source>Give that class another key or none first</source>
        <translation>먼저 그 클래스에 다른 키를 주거나 키를 없애세요</translation>
    </message>
    <message>
        <source>mirrored too</source>
        <extracomment>As many models are shown side by side; the panes call them by these letters. Tokens of the models&apos; colours, by place: swatches of the list and the table, lines of the plot. Images up to which models are tested against the first one; fewest draws, and widths of the bands, px, of that. Settings that a model may be compared with, named as for ``atrous ablate``.</extracomment>
        <translation>좌우 반전도</translation>
    </message>
    <message>
        <source>scales 0.75, 1, 1.25</source>
        <translation>배율 0.75, 1, 1.25</translation>
    </message>
    <message>
        <source>output stride 8</source>
        <translation>출력 스트라이드 8</translation>
    </message>
    <message>
        <source>output stride 16</source>
        <translation>출력 스트라이드 16</translation>
    </message>
    <message>
        <source>output stride 32</source>
        <translation>출력 스트라이드 32</translation>
    </message>
    <message>
        <source>CRF v1</source>
        <translation>CRF v1</translation>
    </message>
    <message>
        <source>CRF v2</source>
        <translation>CRF v2</translation>
    </message>
    <message>
        <source>threshold 0.3</source>
        <translation>임계값 0.3</translation>
    </message>
    <message>
        <source>threshold 0.4</source>
        <translation>임계값 0.4</translation>
    </message>
    <message>
        <source>threshold 0.5</source>
        <translation>임계값 0.5</translation>
    </message>
    <message>
        <source>threshold 0.6</source>
        <translation>임계값 0.6</translation>
    </message>
    <message>
        <source>threshold 0.7</source>
        <translation>임계값 0.7</translation>
    </message>
    <message>
        <source>engine ONNX Runtime</source>
        <translation>엔진 ONNX Runtime</translation>
    </message>
    <message>
        <source>engine OpenVINO</source>
        <translation>엔진 OpenVINO</translation>
    </message>
    <message>
        <source>engine AMX</source>
        <translation>엔진 AMX</translation>
    </message>
    <message>
        <source>the project has no class {name} any more</source>
        <extracomment>Beginning of the settings that name the models of which a project has seen predictions.</extracomment>
        <translation>프로젝트에 {name} 클래스가 더 이상 없습니다</translation>
    </message>
    <message>
        <source>Copy a region of another class</source>
        <translation>다른 클래스의 영역을 복사하세요</translation>
    </message>
    <message>
        <source>the previous image has no labels</source>
        <translation>이전 이미지에 라벨이 없습니다</translation>
    </message>
    <message>
        <source>Label it first, or run a model on it</source>
        <translation>먼저 라벨을 만들거나 모델을 실행하세요</translation>
    </message>
    <message>
        <source>the labels are for {width} x {height} px, but this image has {columns} x {rows}</source>
        <translation>라벨은 {width} x {height} px용인데 이 이미지는 {columns} x {rows}입니다</translation>
    </message>
    <message>
        <source>Labels are never resized, because that would change them</source>
        <translation>라벨 크기는 조정하지 않습니다. 라벨이 바뀌기 때문입니다</translation>
    </message>
    <message>
        <source>Copy from an image of the same size</source>
        <translation>크기가 같은 이미지에서 복사하세요</translation>
    </message>
    <message>
        <source>It is in the classes of {theirs}, and this project has {ours}. Open the project to edit, and choose its classes</source>
        <extracomment>Photographs with headers that are read to see whether the frame of the masks must be asked for. Any other one that turns out ambiguous when it is read is asked for then.</extracomment>
        <translation>클래스가 {theirs}이고 이 프로젝트는 {ours}입니다. 프로젝트를 편집용으로 열고 클래스를 고르세요</translation>
    </message>
    <message>
        <source>These classes are locked</source>
        <extracomment>Every pixel may change.</extracomment>
        <translation>이 클래스들은 잠겨 있습니다</translation>
    </message>
    <message>
        <source>None of these classes may be painted over</source>
        <translation>이 클래스들은 덮어 칠할 수 없습니다</translation>
    </message>
    <message>
        <source>{name} is not among the classes that may be painted over</source>
        <translation>{name} 클래스는 덮어 칠할 수 있는 클래스가 아닙니다</translation>
    </message>
    <message>
        <source>All of it is on the side of the trimap band that is not painted</source>
        <translation>모두 트라이맵 밴드에서 칠하지 않는 쪽에 있습니다</translation>
    </message>
    <message>
        <source>Locked classes keep their pixels</source>
        <translation>잠긴 클래스의 픽셀은 그대로입니다</translation>
    </message>
    <message>
        <source>There is no trimap band yet. The Trimap band view (T) says why</source>
        <translation>아직 트라이맵 밴드가 없습니다. 이유는 트라이맵 밴드 뷰(T)에 있습니다</translation>
    </message>
    <message>
        <source>the class {name} is locked</source>
        <translation>{name} 클래스가 잠겨 있습니다</translation>
    </message>
    <message>
        <source>Pixels of a locked class keep it</source>
        <translation>잠긴 클래스의 픽셀은 그대로입니다</translation>
    </message>
    <message>
        <source>Unlock the class, or choose another one</source>
        <translation>클래스의 잠금을 풀거나 다른 클래스를 고르세요</translation>
    </message>
    <message>
        <source>there is no prediction to restore</source>
        <extracomment>Below this diameter a disk may miss every pixel centre (radius under half a pixel&apos;s diagonal), so the stroke becomes a line of single pixels: diameter 1 paints exactly the pixel under the point. A thin line is painted in pieces of so many pixels, so that a long diagonal never needs a mask of the box around it. From this diameter on a segment paints only what the one before it did not cover. For smaller ones the whole capsule is less work than finding that out.</extracomment>
        <translation>되돌릴 예측이 없습니다</translation>
    </message>
    <message>
        <source>Run a model on this image first</source>
        <translation>먼저 이 이미지에 모델을 실행하세요</translation>
    </message>
    <message>
        <source>{file} is a link, and a project never writes through links</source>
        <extracomment>File systems that more than one computer may have mounted. SQLite&apos;s write-ahead log shares memory between its users and must not be used there (sqlite.org/wal.html, &quot;All processes using a database must be on the same host computer&quot;).</extracomment>
        <translation>{file}은(는) 링크이며, 프로젝트는 링크를 통해 쓰지 않습니다</translation>
    </message>
    <message>
        <source>It leads to {target}</source>
        <translation>{target}을(를) 가리킵니다</translation>
    </message>
    <message>
        <source>Put the real file or folder in its place, or keep the project elsewhere: atrous FOLDER --project DIR</source>
        <translation>실제 파일이나 폴더를 그 자리에 두거나 프로젝트를 다른 곳에 두세요: atrous FOLDER --project DIR</translation>
    </message>
    <message>
        <source>{file} is not a {kind}</source>
        <translation>{file}은(는) {kind}이(가) 아닙니다</translation>
    </message>
    <message>
        <source>folder</source>
        <translation>폴더</translation>
    </message>
    <message>
        <source>file</source>
        <translation>파일</translation>
    </message>
    <message>
        <source>Move it away, or keep the project elsewhere: atrous FOLDER --project DIR</source>
        <translation>다른 곳으로 옮기거나 프로젝트를 다른 곳에 두세요: atrous FOLDER --project DIR</translation>
    </message>
    <message>
        <source>an unknown place</source>
        <translation>알 수 없는 위치</translation>
    </message>
    <message numerus="yes">
        <source>{n} image was moved; its mask is kept with it.</source>
        <comment>{n} images were moved; their masks are kept with them.</comment>
        <extracomment>Key of the ``meta`` table: what was left out at the last visit. At most so many bytes of images are read to tell a copied folder (new times, same content) from renamed files. Whatever is left is compared when the image is opened. Whether an image was worked on; a condition on the ``images`` table.</extracomment>
        <translation>
            <numerusform>이미지 {n}개가 옮겨졌습니다. 마스크는 함께 유지됩니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image changed since the last visit; check its mask.</source>
        <comment>{n} images changed since the last visit; check their masks.</comment>
        <translation>
            <numerusform>이미지 {n}개가 지난 방문 이후 바뀌었습니다. 마스크를 확인하세요.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image with a mask is missing; the mask is kept.</source>
        <comment>{n} images with masks are missing; the masks are kept.</comment>
        <translation>
            <numerusform>마스크가 있는 이미지 {n}개가 없습니다. 마스크는 보관됩니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image has a status of a later version of Atrous ({numbers}). It is kept and shown as edited.</source>
        <comment>{n} images have a status of a later version of Atrous ({numbers}). They are kept and shown as edited.</comment>
        <extracomment>Columns of the ``images`` table in the order of :func:`records_from_rows`. Python types of :data:`RECORD_COLUMNS`, for ``Store.rows``. Rows that a later version wrote in a way that this one does not know.</extracomment>
        <translation>
            <numerusform>이미지 {n}개의 상태가 이후 버전의 Atrous 것입니다({numbers}). 보관되며 수정됨으로 표시됩니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image has marks of a later version of Atrous. They are not shown, and kept until you change the image.</source>
        <comment>{n} images have marks of a later version of Atrous. They are not shown, and kept until you change the images.</comment>
        <translation>
            <numerusform>이미지 {n}개에 이후 버전의 Atrous 표시가 있습니다. 표시되지 않으며, 이미지를 바꿀 때까지 보관됩니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>&apos;{title}&apos;</source>
        <extracomment>Default bound of all patches kept by one project, in bytes of packed tiles. A larger write-ahead log is folded into the database at the next flush: unbroken work has no idle time. So many steps are dropped in one transaction when the journal is bounded, so that no stroke waits for a long one. A journal over its bound is cut to this part of it. How many damaged steps a notice names. All undone steps of an image are newer than all in effect: seen from the newest on, no query walks through the whole history. What a damaged or strange value of a step raises.</extracomment>
        <translation>&apos;{title}&apos;</translation>
    </message>
    <message>
        <source>a step without a name</source>
        <translation>이름 없는 단계</translation>
    </message>
    <message>
        <source>{step} ({when})</source>
        <translation>{step}({when})</translation>
    </message>
    <message>
        <source>the record of &apos;{step}&apos; is damaged</source>
        <translation>&apos;{step}&apos;의 기록이 손상되었습니다</translation>
    </message>
    <message>
        <source>The step cannot be undone; the mask is kept</source>
        <translation>이 단계는 실행 취소할 수 없습니다. 마스크는 보관됩니다</translation>
    </message>
    <message>
        <source>Correct the mask, or run the model on the image again</source>
        <translation>마스크를 수정하거나 이미지에 모델을 다시 실행하세요</translation>
    </message>
    <message>
        <source>the undo history does not fit the journal</source>
        <translation>실행 취소 기록이 저널과 맞지 않습니다</translation>
    </message>
    <message>
        <source>Step {seq} was moved, the journal expects {expected}</source>
        <translation>단계 {seq}이(가) 이동했는데 저널은 {expected}을(를) 기대합니다</translation>
    </message>
    <message>
        <source>Open the image again</source>
        <translation>이미지를 다시 여세요</translation>
    </message>
    <message numerus="yes">
        <source>A damaged step of the journal was set aside: {named}.</source>
        <comment>{n} damaged steps of the journal were set aside: {named}.</comment>
        <translation>
            <numerusform>저널의 손상된 단계 {n}개를 따로 치워 두었습니다: {named}.</numerusform>
        </translation>
    </message>
    <message>
        <source>The mask and all other steps are kept, but undo ends there.</source>
        <translation>마스크와 다른 모든 단계는 보관되지만 실행 취소가 거기서 끝납니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} tile of 64 x 64 px</source>
        <comment>{n} tiles of 64 x 64 px</comment>
        <translation>
            <numerusform>64 x 64 px 타일 {n}개</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>all of {n} step</source>
        <comment>all of {n} steps</comment>
        <translation>
            <numerusform>단계 {n}개 전체</numerusform>
        </translation>
    </message>
    <message>
        <source>{tiles} and {steps}</source>
        <translation>{tiles}, {steps}</translation>
    </message>
    <message>
        <source>The mask did not hold {lost} yet: check it.</source>
        <translation>마스크에 아직 {lost}이(가) 없었습니다. 확인하세요.</translation>
    </message>
    <message>
        <source>Run the model on it again.</source>
        <translation>모델을 다시 실행하세요.</translation>
    </message>
    <message>
        <source>The kept prediction is damaged: {problem}.</source>
        <translation>보관된 예측이 손상되었습니다: {problem}.</translation>
    </message>
    <message>
        <source>The prediction is not kept any more.</source>
        <translation>예측이 더 이상 보관되어 있지 않습니다.</translation>
    </message>
    <message>
        <source>Their values are taken for ids of the project&apos;s classes</source>
        <translation>그 값을 프로젝트 클래스의 ID로 봅니다</translation>
    </message>
    <message>
        <source>the source has numbers and no names of classes</source>
        <translation>원본에 번호만 있고 클래스 이름이 없습니다</translation>
    </message>
    <message>
        <source>{format}: {count} values occur</source>
        <translation>{format}: 값 {count}개가 나옵니다</translation>
    </message>
    <message>
        <source>Choose the classes of the new project</source>
        <translation>새 프로젝트의 클래스를 고르세요</translation>
    </message>
    <message>
        <source>the ground truth is {truth_width} x {truth_height} px, the image {width} x {height} px</source>
        <extracomment>A box of at least so many pixels is counted as a whole before and after its change if one in so many changed.</extracomment>
        <translation>정답은 {truth_width} x {truth_height} px, 이미지는 {width} x {height} px입니다</translation>
    </message>
    <message>
        <source>Choose the ground truth of this image; it is never resized</source>
        <translation>이 이미지의 정답을 고르세요. 크기는 조정되지 않습니다</translation>
    </message>
    <message numerus="yes">
        <source>{value} over {n} class</source>
        <comment>{value} over {n} classes</comment>
        <translation>
            <numerusform>{value}(클래스 {n}개)</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{mean} ({value} over the {n} in the ground truth)</source>
        <comment>{mean} ({value} over the {n} in the ground truth)</comment>
        <translation>
            <numerusform>{mean}(정답에 있는 {n}개에서는 {value})</numerusform>
        </translation>
    </message>
    <message>
        <source>Another process holds it</source>
        <extracomment>The locked byte lies far behind the text that names the holder: Windows forbids others to read what is locked. How the text that names the holder begins, and a bound of its length in bytes. No link is followed, and a pipe does not make the program wait.</extracomment>
        <translation>다른 프로세스가 사용 중입니다</translation>
    </message>
    <message>
        <source>this computer</source>
        <translation>이 컴퓨터</translation>
    </message>
    <message>
        <source>Process {pid} on {where} has had it open since {when}</source>
        <translation>{where}의 프로세스 {pid}이(가) {when}부터 열어 두었습니다</translation>
    </message>
    <message>
        <source>the lock of the project is not a file</source>
        <translation>프로젝트의 잠금이 파일이 아닙니다</translation>
    </message>
    <message>
        <source>Move it away</source>
        <translation>다른 곳으로 옮기세요</translation>
    </message>
    <message>
        <source>another window has this project open</source>
        <translation>다른 창에서 이 프로젝트가 열려 있습니다</translation>
    </message>
    <message>
        <source>Look and compare here, or close the other window and open the folder again to edit</source>
        <translation>여기서는 보고 비교하세요. 편집하려면 다른 창을 닫고 폴더를 다시 여세요</translation>
    </message>
    <message>
        <source>Copy the folder .atrous as a whole, never project.db alone.</source>
        <extracomment>Length of the file in bytes: one block of nearly every file system, so that it is rarely torn. Advice after a loss.</extracomment>
        <translation>project.db만 복사하지 말고 .atrous 폴더 전체를 복사하세요.</translation>
    </message>
    <message>
        <source>The program ended while it was being saved, or the log project.db-wal is missing or damaged.</source>
        <translation>저장하는 동안 프로그램이 끝났거나, 로그 project.db-wal이 없거나 손상되었습니다.</translation>
    </message>
    <message numerus="yes">
        <source>{path} ({n} step)</source>
        <comment>{path} ({n} steps)</comment>
        <extracomment>The highest number of transactions that is counted; a mark with a higher one, or with a time after the year 2999, is damaged. So many images are named at most; of the others only the number of changes is known.</extracomment>
        <translation>
            <numerusform>{path}(단계 {n}개)</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The last {n} change is not in the database; it was made on {when}.</source>
        <comment>The last {n} changes are not in the database; the last one was made on {when}.</comment>
        <translation>
            <numerusform>마지막 변경 {n}개가 데이터베이스에 없습니다. {when}의 변경입니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>The power failed before they reached the disk, or the log project.db-wal is missing or damaged.</source>
        <extracomment>Why something is missing: in general, and if it is the one transaction that was being committed.</extracomment>
        <translation>디스크에 쓰이기 전에 전원이 꺼졌거나, 로그 project.db-wal이 없거나 손상되었습니다.</translation>
    </message>
    <message>
        <source>They may concern {images}.</source>
        <translation>관련될 수 있는 이미지: {images}.</translation>
    </message>
    <message>
        <source>Saved masks are kept. {copying}</source>
        <translation>저장된 마스크는 보관됩니다. {copying}</translation>
    </message>
    <message>
        <source>the mask has classes that the project does not know: {names}</source>
        <extracomment>No journal has so many moves; a larger number would leave no room for the next one. What values of the wrong form raise where classes are read. Most bytes of the classes, unpacked. Room for head, palette and note of a mask file.</extracomment>
        <translation>마스크에 프로젝트가 모르는 클래스가 있습니다: {names}</translation>
    </message>
    <message>
        <source>The project&apos;s database is older than the mask</source>
        <translation>프로젝트의 데이터베이스가 마스크보다 오래되었습니다</translation>
    </message>
    <message>
        <source>Put the newer database back, or open the image in the window</source>
        <translation>더 새로운 데이터베이스를 되돌려 놓거나 창에서 이미지를 여세요</translation>
    </message>
    <message>
        <source>It holds colours, not ids</source>
        <translation>ID가 아니라 색이 들어 있습니다</translation>
    </message>
    <message>
        <source>{what}. {why}</source>
        <translation>{what}. {why}</translation>
    </message>
    <message>
        <source>Provenance: {error}</source>
        <translation>픽셀 출처: {error}</translation>
    </message>
    <message>
        <source>Another program has changed it</source>
        <translation>다른 프로그램이 바꾸었습니다</translation>
    </message>
    <message>
        <source>Its note cannot be read: {error}</source>
        <translation>메모를 읽을 수 없습니다: {error}</translation>
    </message>
    <message>
        <source>It is not a PNG file</source>
        <translation>PNG 파일이 아닙니다</translation>
    </message>
    <message>
        <source>The checksum of its {part} part is wrong</source>
        <translation>{part} 부분의 체크섬이 틀립니다</translation>
    </message>
    <message>
        <source>It ends early</source>
        <translation>중간에 끝납니다</translation>
    </message>
    <message>
        <source>the saved mask is damaged</source>
        <translation>저장된 마스크가 손상되었습니다</translation>
    </message>
    <message>
        <source>It is set aside; the journal is asked instead</source>
        <translation>따로 치워 두고 대신 저널에서 읽습니다</translation>
    </message>
    <message>
        <source>the project&apos;s database is missing; saved masks are there</source>
        <extracomment>Catalog of a new project until the user chooses another.</extracomment>
        <translation>프로젝트의 데이터베이스가 없습니다. 저장된 마스크는 있습니다</translation>
    </message>
    <message>
        <source>there is no project here yet</source>
        <translation>여기에는 아직 프로젝트가 없습니다</translation>
    </message>
    <message>
        <source>Open the folder in the window: saved masks are taken up again</source>
        <translation>창에서 폴더를 여세요. 저장된 마스크를 다시 연결합니다</translation>
    </message>
    <message>
        <source>Open the folder in the window first</source>
        <translation>먼저 창에서 폴더를 여세요</translation>
    </message>
    <message>
        <source>It was opened for reading only</source>
        <translation>읽기 전용으로 열었습니다</translation>
    </message>
    <message>
        <source>Another window has this project open. {holder}</source>
        <translation>다른 창에서 이 프로젝트가 열려 있습니다. {holder}</translation>
    </message>
    <message>
        <source>the project cannot be created</source>
        <translation>프로젝트를 만들 수 없습니다</translation>
    </message>
    <message>
        <source>Its settings cannot be read: {error}</source>
        <translation>설정을 읽을 수 없습니다: {error}</translation>
    </message>
    <message>
        <source>this project directory belongs to another folder</source>
        <translation>이 프로젝트 디렉터리는 다른 폴더의 것입니다</translation>
    </message>
    <message>
        <source>Choose another directory with --project DIR</source>
        <translation>--project DIR로 다른 디렉터리를 고르세요</translation>
    </message>
    <message>
        <source>The project cannot be written here. {reason}</source>
        <translation>여기에는 프로젝트를 쓸 수 없습니다. {reason}</translation>
    </message>
    <message>
        <source>The newest changes are in the log project.db-wal, which cannot be read because the project cannot be written: they are missing here. Copy the whole folder .atrous to where it can be written, and open it with {option}.</source>
        <translation>가장 최근 변경은 로그 project.db-wal에 있는데, 프로젝트에 쓸 수 없어 읽지 못했습니다. 그래서 여기에는 빠져 있습니다. .atrous 폴더 전체를 쓸 수 있는 곳에 복사하고 {option}(으)로 여세요.</translation>
    </message>
    <message>
        <source>project.db was copied without its log project.db-wal while a window had the project open: the newest changes may be missing. Saved masks are kept. {copying}</source>
        <translation>창에서 프로젝트가 열려 있는 동안 로그 project.db-wal 없이 project.db만 복사되었습니다. 가장 최근 변경이 빠졌을 수 있습니다. 저장된 마스크는 보관됩니다. {copying}</translation>
    </message>
    <message>
        <source>Free some space, or keep the project on another disk: {option}</source>
        <translation>공간을 확보하거나 프로젝트를 다른 디스크에 두세요: {option}</translation>
    </message>
    <message>
        <source>Make the folder writable, or keep the project elsewhere: {option}</source>
        <translation>폴더를 쓸 수 있게 하거나 프로젝트를 다른 곳에 두세요: {option}</translation>
    </message>
    <message>
        <source>Remove the link, or keep the project elsewhere: atrous FOLDER --project DIR</source>
        <translation>링크를 제거하거나 프로젝트를 다른 곳에 두세요: atrous FOLDER --project DIR</translation>
    </message>
    <message>
        <source>&apos;{name}&apos; is not in its folder &apos;{folder}&apos;</source>
        <translation>&apos;{name}&apos;이(가) &apos;{folder}&apos; 폴더 안에 있지 않습니다</translation>
    </message>
    <message>
        <source>It is a link</source>
        <translation>링크입니다</translation>
    </message>
    <message>
        <source>It is not a plain file</source>
        <translation>일반 파일이 아닙니다</translation>
    </message>
    <message>
        <source>the project names a file that does not belong to it</source>
        <translation>프로젝트가 자신의 것이 아닌 파일을 가리킵니다</translation>
    </message>
    <message>
        <source>the labels are {width} x {height} px</source>
        <extracomment>Side of a tile in px. One 1500-px stroke of radius 20 packs to about 14 KB at this size; smaller tiles cost more headers, larger ones more pixels that did not change. The box around some tiles may be so many times as large as they before it is taken apart. Tiles of one class occur all the time: so many packed and unpacked ones are remembered, with 8 KB each. Tiles have at most so many sizes: inside, at the right border, at the bottom, and in the corner.</extracomment>
        <translation>라벨은 {width} x {height} px입니다</translation>
    </message>
    <message>
        <source>Put the image back that they were made for</source>
        <translation>라벨을 만든 이미지를 되돌려 놓으세요</translation>
    </message>
    <message>
        <source>a step of the journal is damaged</source>
        <translation>저널의 단계가 손상되었습니다</translation>
    </message>
    <message>
        <source>Open the image again: the mask and all sound steps are kept</source>
        <translation>이미지를 다시 여세요. 마스크와 온전한 모든 단계는 보관됩니다</translation>
    </message>
    <message>
        <source>a tile has {found} bytes, expected {expected}</source>
        <translation>타일이 {found}바이트입니다. {expected}바이트여야 합니다</translation>
    </message>
    <message>
        <source>the project is read-only</source>
        <translation>프로젝트가 읽기 전용입니다</translation>
    </message>
    <message>
        <source>Open it again to edit</source>
        <translation>편집하려면 다시 여세요</translation>
    </message>
    <message>
        <source>The project&apos;s database was damaged ({reason}).</source>
        <extracomment>So many failing questions are asked to find the readable rows around damaged ones. Further than any project has steps.</extracomment>
        <translation>프로젝트의 데이터베이스가 손상되었습니다({reason}).</translation>
    </message>
    <message>
        <source>The project&apos;s database was damaged.</source>
        <translation>프로젝트의 데이터베이스가 손상되었습니다.</translation>
    </message>
    <message>
        <source>It was set aside as {name}.</source>
        <translation>{name}(으)로 치워 두었습니다.</translation>
    </message>
    <message>
        <source>Nothing of it could be read. The saved masks are kept.</source>
        <translation>내용을 전혀 읽을 수 없었습니다. 저장된 마스크는 보관됩니다.</translation>
    </message>
    <message>
        <source>The project&apos;s database was lost; its copy {name} has taken its place. What was done after that copy is lost, but saved masks are kept.</source>
        <translation>프로젝트의 데이터베이스를 잃어 사본 {name}이(가) 그 자리에 들어갔습니다. 그 사본 이후의 작업은 잃었지만 저장된 마스크는 보관됩니다.</translation>
    </message>
    <message>
        <source>Everything could be read from it; nothing is lost.</source>
        <translation>모든 내용을 읽었습니다. 잃은 것이 없습니다.</translation>
    </message>
    <message>
        <source>Not all of it could be read: {parts}. The saved masks are kept.</source>
        <translation>일부를 읽을 수 없었습니다: {parts}. 저장된 마스크는 보관됩니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} lost row was taken from the copy {name}.</source>
        <comment>{n} lost rows were taken from the copy {name}.</comment>
        <translation>
            <numerusform>잃은 행 {n}개를 사본 {name}에서 가져왔습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>Strokes or undo steps of these images are lost; check them: {named}.</source>
        <translation>이 이미지들의 획이나 실행 취소 단계를 잃었습니다. 확인하세요: {named}.</translation>
    </message>
    <message>
        <source>Daily copies are listed by: {command}</source>
        <translation>일일 사본 목록을 보는 명령: {command}</translation>
    </message>
    <message>
        <source>settings</source>
        <translation>설정</translation>
    </message>
    <message>
        <source>images</source>
        <translation>이미지</translation>
    </message>
    <message>
        <source>steps</source>
        <translation>단계</translation>
    </message>
    <message>
        <source>moves</source>
        <translation>이동 기록</translation>
    </message>
    <message>
        <source>runs</source>
        <extracomment>What can be computed again: one unreadable row of these is not a loss to speak of, but it is counted.</extracomment>
        <translation>실행</translation>
    </message>
    <message>
        <source>results</source>
        <translation>결과</translation>
    </message>
    <message>
        <source>strokes of images that are not known any more</source>
        <translation>더 이상 알 수 없는 이미지의 획</translation>
    </message>
    <message>
        <source>{rows} (the table is missing or was changed)</source>
        <translation>{rows}(테이블이 없거나 바뀜)</translation>
    </message>
    <message>
        <source>some of the {rows}</source>
        <translation>{rows} 일부</translation>
    </message>
    <message>
        <source>{number} of the {rows}</source>
        <translation>{rows} 중 {number}개</translation>
    </message>
    <message>
        <source>The last strokes could not be read from the damaged database.</source>
        <translation>마지막 획을 손상된 데이터베이스에서 읽을 수 없었습니다.</translation>
    </message>
    <message>
        <source>the notes of this image</source>
        <extracomment>Kind of the project&apos;s results that holds reviews; the folder scan knows it too. Longest text of a note or reason, in characters, and most notes of an image. Largest record that is read, bytes: four times what the longest notes can take. Reasons that are offered again.</extracomment>
        <translation>이 이미지의 메모</translation>
    </message>
    <message>
        <source>Write them again</source>
        <translation>다시 작성하세요</translation>
    </message>
    <message>
        <source>the notes of this image cannot be read</source>
        <translation>이 이미지의 메모를 읽을 수 없습니다</translation>
    </message>
    <message numerus="yes">
        <source>was rebuilt from a damaged mask or journal</source>
        <comment>were rebuilt from a damaged mask or journal</comment>
        <extracomment>A prediction&apos;s labels in the project&apos;s ids; None where its classes are unknown or not matched. Which labels of an image count, see :func:`load_sample`.</extracomment>
        <translation>
            <numerusform>손상된 마스크나 저널에서 복구했습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>the ground truth is {truth_width} x {truth_height} px, the mask {width} x {height} px</source>
        <translation>정답은 {truth_width} x {truth_height} px, 마스크는 {width} x {height} px입니다</translation>
    </message>
    <message>
        <source>Pixels were lost.</source>
        <extracomment>So begins the note of an image of which pixels were lost: saving its mask again does not make them good.</extracomment>
        <translation>픽셀을 잃었습니다.</translation>
    </message>
    <message>
        <source>Start this image over</source>
        <extracomment>What the window offers for an image with a refused mask; the remedies name it.</extracomment>
        <translation>이 이미지 처음부터 다시</translation>
    </message>
    <message>
        <source>Use this mask as it is</source>
        <translation>이 마스크를 그대로 사용</translation>
    </message>
    <message>
        <source>right file</source>
        <translation>맞는 파일</translation>
    </message>
    <message>
        <source>&apos;{choice}&apos;</source>
        <translation>&apos;{choice}&apos;</translation>
    </message>
    <message>
        <source>&apos;{one}&apos; or &apos;{other}&apos;</source>
        <translation>&apos;{one}&apos; 또는 &apos;{other}&apos;</translation>
    </message>
    <message>
        <source>Put the {lacks} back, or open the image in the window and choose {choices} there; the mask file is kept</source>
        <translation>{lacks}을(를) 되돌려 놓거나, 창에서 이미지를 열고 {choices}을(를) 고르세요. 마스크 파일은 보관됩니다</translation>
    </message>
    <message>
        <source>It holds the state up to step {step} of the journal, which begins behind step {base}</source>
        <translation>저널의 단계 {step}까지의 상태인데, 저널은 단계 {base} 다음부터 시작합니다</translation>
    </message>
    <message>
        <source>the mask file is older than the project</source>
        <translation>마스크 파일이 프로젝트보다 오래되었습니다</translation>
    </message>
    <message>
        <source>the mask of this image cannot be used and its journal does not reach back to the beginning</source>
        <translation>이 이미지의 마스크를 쓸 수 없고, 저널도 처음까지 거슬러 올라가지 못합니다</translation>
    </message>
    <message>
        <source>Undo steps of this image were lost in a power cut.</source>
        <translation>정전으로 이 이미지의 실행 취소 단계를 잃었습니다.</translation>
    </message>
    <message>
        <source>the project does not know this image</source>
        <translation>프로젝트가 이 이미지를 모릅니다</translation>
    </message>
    <message>
        <source>Open the folder again</source>
        <translation>폴더를 다시 여세요</translation>
    </message>
    <message>
        <source>The project names a file that does not belong to it: {reason}; it was not touched</source>
        <translation>프로젝트가 자신의 것이 아닌 파일을 가리킵니다: {reason}. 그 파일은 건드리지 않았습니다</translation>
    </message>
    <message>
        <source>newer database</source>
        <translation>더 새로운 데이터베이스</translation>
    </message>
    <message>
        <source>The saved mask was damaged: {reason}</source>
        <translation>저장된 마스크가 손상되었습니다: {reason}</translation>
    </message>
    <message>
        <source>The mask file in its place is that of {name}</source>
        <translation>그 자리의 마스크 파일은 {name}의 것입니다</translation>
    </message>
    <message>
        <source>The mask file in its place was made for another image, &apos;{name}&apos;</source>
        <translation>그 자리의 마스크 파일은 다른 이미지 &apos;{name}&apos;용입니다</translation>
    </message>
    <message>
        <source>The mask file in its place is from before this image was started again</source>
        <translation>그 자리의 마스크 파일은 이 이미지를 처음부터 다시 하기 전의 것입니다</translation>
    </message>
    <message>
        <source>The mask was made for other content of this image file; check whether it still fits.</source>
        <translation>마스크를 만들 때와 이 이미지 파일의 내용이 다릅니다. 아직 맞는지 확인하세요.</translation>
    </message>
    <message>
        <source>{problem}.</source>
        <translation>{problem}.</translation>
    </message>
    <message>
        <source>Its labels were rebuilt from the journal.</source>
        <translation>저널에서 라벨을 다시 만들었습니다.</translation>
    </message>
    <message>
        <source>Its labels could not be rebuilt.</source>
        <translation>라벨을 다시 만들 수 없었습니다.</translation>
    </message>
    <message>
        <source>It is kept as {name}.</source>
        <translation>{name}(으)로 보관됩니다.</translation>
    </message>
    <message>
        <source>The damaged file is kept as {name}.</source>
        <translation>손상된 파일은 {name}(으)로 보관됩니다.</translation>
    </message>
    <message>
        <source>{reason}. It is kept as {name}.</source>
        <translation>{reason}. {name}(으)로 보관됩니다.</translation>
    </message>
    <message>
        <source>There was a mask of {name} that the project did not know. It is kept as {file}.</source>
        <translation>프로젝트가 모르는 {name}의 마스크가 있었습니다. {file}(으)로 보관됩니다.</translation>
    </message>
    <message>
        <source>there is no free name for the mask file</source>
        <translation>마스크 파일에 쓸 수 있는 이름이 없습니다</translation>
    </message>
    <message>
        <source>Tidy the folder &apos;masks&apos; of the project</source>
        <translation>프로젝트의 &apos;masks&apos; 폴더를 정리하세요</translation>
    </message>
    <message>
        <source>The mask file of {name} was changed or damaged in the meantime: {reason}</source>
        <translation>그사이 {name}의 마스크 파일이 바뀌거나 손상되었습니다: {reason}</translation>
    </message>
    <message>
        <source>The mask file of {name} is newer than what the project&apos;s database knows</source>
        <translation>{name}의 마스크 파일이 프로젝트의 데이터베이스가 아는 것보다 새롭습니다</translation>
    </message>
    <message>
        <source>The mask file of {name} was replaced by an older one in the meantime</source>
        <translation>그사이 {name}의 마스크 파일이 더 오래된 것으로 바뀌었습니다</translation>
    </message>
    <message>
        <source>the labels are {width} x {height} px, but the image is {image_width} x {image_height}</source>
        <extracomment>Kind of the result that says for which content of an image its mask was accepted, see ``Project.accept_change``.</extracomment>
        <translation>라벨은 {width} x {height} px인데 이미지는 {image_width} x {image_height}입니다</translation>
    </message>
    <message>
        <source>The image file was replaced by one of another size</source>
        <translation>이미지 파일이 크기가 다른 것으로 바뀌었습니다</translation>
    </message>
    <message>
        <source>old image file</source>
        <translation>예전 이미지 파일</translation>
    </message>
    <message>
        <source>the table {name} is missing or changed</source>
        <extracomment>&quot;Atro&quot;: identifies this database for file managers and for us. One script per schema version; a database of version n runs those from n on. Never change one that was released. Opening a project brings it to this version. A later one comes with the first data that need it, so that older programs go on reading every project without them. Version of a project that holds reclassified regions. Version of a project in which classes were merged or deleted. What SQLite makes by itself: the counters of AUTOINCREMENT, and the indexes behind UNIQUE and PRIMARY KEY.</extracomment>
        <translation>테이블 {name}이(가) 없거나 바뀌었습니다</translation>
    </message>
    <message>
        <source>the {kind} {name} is changed</source>
        <translation>{kind} {name}이(가) 바뀌었습니다</translation>
    </message>
    <message>
        <source>the {kind} {name} is not of Atrous</source>
        <translation>{kind} {name}은(는) Atrous의 것이 아닙니다</translation>
    </message>
    <message>
        <source>the {kind} {name} is missing</source>
        <translation>{kind} {name}이(가) 없습니다</translation>
    </message>
    <message>
        <source>Appearance</source>
        <translation>모양</translation>
    </message>
    <message>
        <source>Image view</source>
        <translation>이미지 보기</translation>
    </message>
    <message>
        <source>Work</source>
        <translation>작업</translation>
    </message>
    <message>
        <source>Models</source>
        <translation>모델</translation>
    </message>
    <message>
        <source>Theme</source>
        <translation>테마</translation>
    </message>
    <message>
        <source>Dark</source>
        <translation>어둡게</translation>
    </message>
    <message>
        <source>Light</source>
        <translation>밝게</translation>
    </message>
    <message>
        <source>Same as system</source>
        <translation>시스템과 같게</translation>
    </message>
    <message>
        <source>Dark is easier on the eyes beside bright images</source>
        <translation>밝은 이미지 옆에서는 어두운 테마가 눈에 편합니다</translation>
    </message>
    <message>
        <source>Language</source>
        <translation>언어(Language)</translation>
    </message>
    <message>
        <source>Language of the window from the next start on; the command line, logs and files stay English</source>
        <translation>다음에 시작할 때부터 쓸 창의 언어입니다. 명령줄, 로그, 파일은 영어입니다</translation>
    </message>
    <message>
        <source>Text size</source>
        <translation>글자 크기</translation>
    </message>
    <message>
        <source>Size of texts, rows and icons from the next start on; the system&apos;s is that of its font</source>
        <translation>다음 시작부터 적용되는 글자, 행, 아이콘의 크기입니다. 시스템과 같게 하면 시스템 글꼴의 크기를 따릅니다</translation>
    </message>
    <message>
        <source>Reduce motion</source>
        <translation>움직임 줄이기</translation>
    </message>
    <message>
        <source>Messages, blinking and previews do not fade; nor do they if the system switches animations off</source>
        <translation>메시지, 깜박임, 미리보기가 서서히 바뀌지 않습니다. 시스템이 애니메이션을 끈 경우도 같습니다</translation>
    </message>
    <message>
        <source>Class colours</source>
        <translation>클래스 색</translation>
    </message>
    <message>
        <source>Clear</source>
        <translation>선명하게</translation>
    </message>
    <message>
        <source>Catalog</source>
        <translation>카탈로그</translation>
    </message>
    <message>
        <source>Clear replaces dark, pale and similar colours on screen; exports always have the catalog&apos;s colours</source>
        <translation>선명하게는 화면에서 어둡거나 옅거나 비슷한 색을 바꿉니다. 내보내기에는 항상 카탈로그의 색을 씁니다</translation>
    </message>
    <message>
        <source>Overlay opacity</source>
        <translation>오버레이 불투명도</translation>
    </message>
    <message>
        <source>Opacity of the mask over the image; Alt+wheel changes it</source>
        <translation>이미지 위 마스크의 불투명도. Alt+휠로 바꿉니다</translation>
    </message>
    <message>
        <source>Outline</source>
        <translation>외곽선</translation>
    </message>
    <message>
        <source>Width of the outlines of classes; a dark line lies beside them</source>
        <translation>클래스 외곽선의 너비. 옆에 어두운 선이 붙습니다</translation>
    </message>
    <message>
        <source>Draw class borders</source>
        <translation>클래스 경계 그리기</translation>
    </message>
    <message>
        <source>Class names on the image</source>
        <translation>이미지 위의 클래스 이름</translation>
    </message>
    <message>
        <source>Useful for sequences; otherwise every image opens fitted to the window</source>
        <translation>연속 이미지에 유용합니다. 그렇지 않으면 이미지를 창에 맞추어 엽니다</translation>
    </message>
    <message>
        <source>Pen pressure controls brush size</source>
        <translation>펜 압력으로 브러시 크기 조절</translation>
    </message>
    <message>
        <source>At full pressure the brush is as wide as its ring; the other end of the pen always erases</source>
        <translation>최대 압력에서 브러시가 고리만큼 넓어집니다. 펜의 반대쪽은 항상 지웁니다</translation>
    </message>
    <message>
        <source>Ask before every folder job</source>
        <translation>폴더 작업 전에 항상 묻기</translation>
    </message>
    <message>
        <source>If off, jobs that change no mask start at once; jobs that change masks always ask</source>
        <translation>끄면 마스크를 바꾸지 않는 작업은 바로 시작합니다. 마스크를 바꾸는 작업은 항상 묻습니다</translation>
    </message>
    <message>
        <source>Run the model on images without a mask</source>
        <translation>마스크 없는 이미지에 모델 실행</translation>
    </message>
    <message>
        <source>Predicts an image without a mask when you open it</source>
        <translation>마스크가 없는 이미지를 열면 예측합니다</translation>
    </message>
    <message>
        <source>Autosave delay</source>
        <translation>자동 저장 지연</translation>
    </message>
    <message>
        <source>Strokes are saved at once; the mask file is rewritten after this delay</source>
        <translation>획은 바로 저장됩니다. 마스크 파일은 이 시간 뒤에 다시 씁니다</translation>
    </message>
    <message>
        <source>Memory for undo</source>
        <translation>실행 취소용 메모리</translation>
    </message>
    <message>
        <source>Undo is limited by this memory, and to 5000 steps of an image; the oldest steps are dropped first</source>
        <translation>실행 취소는 이 메모리와 이미지당 5000단계로 제한됩니다. 가장 오래된 단계부터 버립니다</translation>
    </message>
    <message>
        <source>Disk space for predictions, per project</source>
        <translation>프로젝트당 예측 저장 공간</translation>
    </message>
    <message>
        <source>With stored predictions, an image opens without running the model again</source>
        <translation>예측이 저장되어 있으면 모델을 다시 실행하지 않고 이미지를 엽니다</translation>
    </message>
    <message>
        <source>Disk space for kept runs, per project</source>
        <translation>프로젝트별 보관된 실행의 디스크 공간</translation>
    </message>
    <message>
        <source>A run that does not fit beside the others is not kept; none is removed for it</source>
        <translation>다른 실행과 함께 들어가지 않는 실행은 보관되지 않으며, 이를 위해 제거되는 실행도 없습니다</translation>
    </message>
    <message>
        <source>Model folder</source>
        <translation>모델 폴더</translation>
    </message>
    <message>
        <source>Models in this folder are listed and downloads go there; if empty, the program&apos;s own folder is used</source>
        <translation>이 폴더의 모델을 목록에 표시하고 다운로드를 여기에 저장합니다. 비우면 프로그램의 폴더를 씁니다</translation>
    </message>
    <message>
        <source>CRF engine</source>
        <translation>CRF 엔진</translation>
    </message>
    <message>
        <source>Built-in (GPU if available)</source>
        <translation>내장(가능하면 GPU)</translation>
    </message>
    <message>
        <source>Built-in (CPU)</source>
        <translation>내장(CPU)</translation>
    </message>
    <message>
        <source>Built-in (torch)</source>
        <translation>내장(torch)</translation>
    </message>
    <message>
        <source>pydensecrf (extra &apos;crf&apos;)</source>
        <translation>pydensecrf(추가 패키지 &apos;crf&apos;)</translation>
    </message>
    <message>
        <source>The masks agree on 99.99 % of the pixels; pydensecrf is the common reference and several times slower</source>
        <translation>마스크는 픽셀의 99.99 %가 일치합니다. pydensecrf는 널리 쓰이는 기준이며 몇 배 느립니다</translation>
    </message>
    <message>
        <source>Next error goes on to the next image by itself</source>
        <translation>다음 오류가 저절로 다음 이미지로 넘어감</translation>
    </message>
    <message>
        <source>Otherwise pressing the key once more does; images that are reviewed or rejected are passed over</source>
        <translation>끄면 키를 한 번 더 눌러야 넘어갑니다. 검토 완료되거나 반려된 이미지는 지나칩니다</translation>
    </message>
    <message>
        <source>Without ground truth, next error by</source>
        <translation>정답이 없을 때 다음 오류의 기준</translation>
    </message>
    <message>
        <source>Most expected errors</source>
        <translation>예상 오류가 가장 많은 곳</translation>
    </message>
    <message>
        <source>Smallest margin</source>
        <translation>차이가 가장 작은 곳</translation>
    </message>
    <message>
        <source>Two models disagree</source>
        <translation>두 모델이 다른 곳</translation>
    </message>
    <message>
        <source>What is expected to be won: by the confidence, by the lead of the first class, or where two models differ</source>
        <translation>얻을 것으로 예상되는 양: 신뢰도, 1순위 클래스의 우세, 또는 두 모델이 다른 곳</translation>
    </message>
    <message>
        <source>By kind</source>
        <translation>종류별</translation>
    </message>
    <message>
        <source>By class</source>
        <translation>클래스별</translation>
    </message>
    <message>
        <source>Distance to a class edge</source>
        <translation>클래스 가장자리까지의 거리</translation>
    </message>
    <message>
        <source>Distance to void</source>
        <translation>void까지의 거리</translation>
    </message>
    <message>
        <source>Around the ground truth</source>
        <translation>정답 주변</translation>
    </message>
    <message>
        <source>Around the mask</source>
        <translation>마스크 주변</translation>
    </message>
    <message>
        <source>As stored</source>
        <translation>저장된 대로</translation>
    </message>
    <message>
        <source>As displayed</source>
        <translation>표시되는 대로</translation>
    </message>
    <message>
        <source>{file} is gone; everything is still in memory</source>
        <extracomment>Kept in the plain file while a window has the project open: a copy of the plain file alone then shows that it is not a whole copy. The database counts its transactions here, so that a lost end of the log can be noticed (:mod:`app.state.log_mark`).</extracomment>
        <translation>{file}이(가) 없어졌습니다. 모든 내용은 아직 메모리에 있습니다</translation>
    </message>
    <message>
        <source>{file} or its log was deleted, replaced or cut; everything is still in memory</source>
        <translation>{file} 또는 그 로그가 삭제되거나 바뀌거나 잘렸습니다. 모든 내용은 아직 메모리에 있습니다</translation>
    </message>
    <message>
        <source>the project cannot be flushed to disk</source>
        <translation>프로젝트를 디스크에 기록할 수 없습니다</translation>
    </message>
    <message>
        <source>the project&apos;s database is empty</source>
        <translation>프로젝트의 데이터베이스가 비어 있습니다</translation>
    </message>
    <message>
        <source>Open the folder for editing: saved masks are taken up again</source>
        <translation>폴더를 편집용으로 여세요. 저장된 마스크를 다시 연결합니다</translation>
    </message>
    <message>
        <source>this project was written by a newer version of Atrous</source>
        <translation>이 프로젝트는 더 새로운 버전의 Atrous가 썼습니다</translation>
    </message>
    <message>
        <source>Its data has version {version}, this program knows versions up to {newest}</source>
        <translation>데이터 버전은 {version}이고, 이 프로그램은 {newest}까지 압니다</translation>
    </message>
    <message>
        <source>Install the newer version</source>
        <translation>더 새로운 버전을 설치하세요</translation>
    </message>
    <message>
        <source>Its data has version {version}</source>
        <translation>데이터 버전은 {version}입니다</translation>
    </message>
    <message>
        <source>the project&apos;s database is not as Atrous made it</source>
        <translation>프로젝트의 데이터베이스가 Atrous가 만든 그대로가 아닙니다</translation>
    </message>
    <message>
        <source>It contains {objects}</source>
        <translation>{objects}이(가) 들어 있습니다</translation>
    </message>
    <message>
        <source>Open the folder in the window: the file is set aside, and what can be read of it is kept</source>
        <translation>창에서 폴더를 여세요. 파일은 따로 치워 두고, 읽을 수 있는 내용은 보관합니다</translation>
    </message>
    <message>
        <source>This was found while it was last open</source>
        <translation>지난번에 열려 있을 때 발견되었습니다</translation>
    </message>
    <message>
        <source>Other model</source>
        <translation>다른 모델</translation>
    </message>
    <message>
        <source>Paints the selected class; Shift+click draws a straight line</source>
        <translation>선택한 클래스를 칠합니다. Shift+클릭은 직선을 긋습니다</translation>
    </message>
    <message>
        <source>Erase</source>
        <translation>지우개</translation>
    </message>
    <message>
        <source>Paints the background class, or unlabelled if the class list has none</source>
        <translation>배경 클래스를 칠합니다. 클래스 목록에 배경이 없으면 라벨 없음을 칠합니다</translation>
    </message>
    <message>
        <source>Fill</source>
        <translation>채우기</translation>
    </message>
    <message>
        <source>Gives a connected area the current class; the CRF may still move its outline</source>
        <translation>이어진 구역에 현재 클래스를 줍니다. 윤곽은 CRF가 옮길 수 있습니다</translation>
    </message>
    <message>
        <source>Components</source>
        <translation>성분</translation>
    </message>
    <message>
        <source>Outlines the connected area of one class; click or a class key gives it a class, drag cuts it, Ctrl+drag joins two</source>
        <translation>한 클래스의 이어진 구역을 표시합니다. 클릭이나 클래스 키로 클래스를 주고, 끌어서 자르고, Ctrl+끌기로 둘을 합칩니다</translation>
    </message>
    <message>
        <source>Regions</source>
        <translation>영역</translation>
    </message>
    <message>
        <source>Click or drag gives parts of the image that are alike the selected class; Alt+wheel makes them larger or smaller</source>
        <translation>클릭하거나 끌면 이미지에서 비슷한 부분에 선택한 클래스를 줍니다. Alt+휠로 크기를 바꿉니다</translation>
    </message>
    <message>
        <source>Two-class scribble</source>
        <translation>2클래스 스크리블</translation>
    </message>
    <message>
        <source>A stroke takes what belongs to it from the class where it begins; the wheel sets its reach before you let go</source>
        <translation>획이 시작된 클래스에서 획에 속하는 부분을 가져옵니다. 놓기 전에 휠로 도달 범위를 정합니다</translation>
    </message>
    <message>
        <source>Border snap</source>
        <translation>경계 스냅</translation>
    </message>
    <message>
        <source>Snap</source>
        <translation>스냅</translation>
    </message>
    <message>
        <source>Click a component or draw around an object: its outline smoothed or at edges; Alt+wheel: how, Enter: apply</source>
        <translation>성분을 클릭하거나 객체를 둘러 그리면 윤곽을 다듬거나 가장자리에 맞춥니다. Alt+휠: 방법, Enter: 적용</translation>
    </message>
    <message>
        <source>Clicks</source>
        <translation>클릭</translation>
    </message>
    <message>
        <source>Click on an object, right-click beside it, or drag a box: a click network finds its outline; Enter applies</source>
        <translation>객체를 클릭하고, 바깥은 오른쪽 클릭하거나, 상자를 끄세요. 클릭 네트워크가 윤곽을 찾습니다. Enter로 적용합니다</translation>
    </message>
    <message>
        <source>Copy from</source>
        <translation>복사 원본</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>복사</translation>
    </message>
    <message>
        <source>Copies from prediction, other model, ground truth or previous image: click a component, or draw around a part</source>
        <translation>예측, 다른 모델, 정답, 이전 이미지에서 복사합니다. 성분을 클릭하거나 부분을 둘러 그리세요</translation>
    </message>
    <message>
        <source>Fills what you draw around</source>
        <translation>둘러 그린 안쪽을 채웁니다</translation>
    </message>
    <message>
        <source>Click the corners; Enter closes, Backspace removes the last one</source>
        <translation>꼭짓점을 클릭하세요. Enter로 닫고, Backspace로 마지막 점을 지웁니다</translation>
    </message>
    <message>
        <source>Pick class</source>
        <translation>클래스 고르기</translation>
    </message>
    <message>
        <source>Pick</source>
        <translation>고르기</translation>
    </message>
    <message>
        <source>Selects the class under the pointer</source>
        <translation>포인터 아래의 클래스를 선택합니다</translation>
    </message>
    <message>
        <source>Restore</source>
        <translation>복원</translation>
    </message>
    <message>
        <source>Restores the model&apos;s pixels; right-drag does the same with most tools</source>
        <translation>모델의 픽셀로 되돌립니다. 대부분의 도구에서 오른쪽 끌기도 같습니다</translation>
    </message>
    <message>
        <source>Pan</source>
        <translation>이동</translation>
    </message>
    <message>
        <source>Drag to move; Space-drag does the same with any tool</source>
        <translation>끌어서 옮깁니다. 어느 도구에서나 Space+끌기도 같습니다</translation>
    </message>
    <message>
        <source>The first project has no image of this name</source>
        <extracomment>The project that a conflict takes its labels from. Most places of an image that a list of conflicts names, largest first; smaller ones are decided with their image.</extracomment>
        <translation>첫 프로젝트에 이 이름의 이미지가 없습니다</translation>
    </message>
    <message>
        <source>Its image file is missing</source>
        <translation>이미지 파일이 없습니다</translation>
    </message>
    <message>
        <source>the two projects have different pictures of this name</source>
        <translation>두 프로젝트에서 이 이름의 그림이 다릅니다</translation>
    </message>
    <message>
        <source>Labels of one do not fit the other</source>
        <translation>한쪽의 라벨이 다른 쪽에 맞지 않습니다</translation>
    </message>
    <message>
        <source>Merge projects of the same images</source>
        <translation>같은 이미지의 프로젝트끼리 병합하세요</translation>
    </message>
    <message>
        <source>Merge with {folder}</source>
        <translation>{folder}와(과) 병합</translation>
    </message>
    <message>
        <source>the images of this project are not where they were</source>
        <extracomment>Numbers of the sides in an array; 0 is undecided.</extracomment>
        <translation>이 프로젝트의 이미지가 있던 자리에 없습니다</translation>
    </message>
    <message>
        <source>Open the project in the window with its folder, then try again</source>
        <translation>창에서 폴더와 함께 프로젝트를 연 뒤 다시 시도하세요</translation>
    </message>
    <message>
        <source>there is no project here</source>
        <translation>여기에 프로젝트가 없습니다</translation>
    </message>
    <message>
        <source>Name a folder of images that was opened, or its project directory</source>
        <translation>열었던 이미지 폴더나 그 프로젝트 디렉터리를 지정하세요</translation>
    </message>
    <message>
        <source>IoU, accuracy and shares are per cent, changes are percentage points</source>
        <extracomment>Text, its English plural or &quot;&quot;, and the number that chooses the plural or -1 -&gt; the translation, or the text itself. Halves of surrogate pairs: Python keeps bytes of file names that are not UTF-8 as these. Decimal separators on some keyboards: comma, Arabic, Chinese and Japanese full width. What the three functions below are, for tooltips.</extracomment>
        <translation>IoU, 정확도, 비율은 퍼센트이고 변화량은 퍼센트포인트입니다</translation>
    </message>
    <message numerus="yes">
        <source>{n} is kept as a suggestion because you have edited its image</source>
        <comment>{n} are kept as suggestions because you have edited their images</comment>
        <translation>
            <numerusform>이미지를 편집했으므로 {n}개를 제안으로 보관합니다</numerusform>
        </translation>
    </message>
    <message>
        <source>Everything behind the encoder</source>
        <translation>인코더 뒤의 모든 층</translation>
    </message>
    <message>
        <source>The usual choice: learns shapes and classes in seconds</source>
        <translation>일반적인 선택: 형태와 클래스를 몇 초 만에 학습합니다</translation>
    </message>
    <message>
        <source>The last layer only</source>
        <translation>마지막 층만</translation>
    </message>
    <message>
        <source>Most conservative: shifts the balance between classes, little else</source>
        <translation>가장 보수적: 클래스 사이의 균형만 옮기고 다른 것은 거의 바꾸지 않습니다</translation>
    </message>
    <message>
        <source>All layers</source>
        <translation>모든 층</translation>
    </message>
    <message>
        <source>For images unlike the training data; takes several times as long</source>
        <translation>학습 데이터와 다른 이미지에 알맞습니다. 몇 배 오래 걸립니다</translation>
    </message>
    <message>
        <source>Gentle</source>
        <translation>약하게</translation>
    </message>
    <message>
        <source>Your pixels count as much as the model&apos;s confident ones</source>
        <translation>사용자의 픽셀이 모델의 확실한 픽셀과 같은 비중입니다</translation>
    </message>
    <message>
        <source>Normal</source>
        <translation>보통</translation>
    </message>
    <message>
        <source>Each of your pixels counts as three of the model&apos;s</source>
        <translation>사용자의 픽셀 하나가 모델의 픽셀 셋과 같은 비중입니다</translation>
    </message>
    <message>
        <source>Strong</source>
        <translation>강하게</translation>
    </message>
    <message>
        <source>Each of your pixels counts as ten of the model&apos;s</source>
        <translation>사용자의 픽셀 하나가 모델의 픽셀 열과 같은 비중입니다</translation>
    </message>
    <message>
        <source>Learn from corrections</source>
        <extracomment>Heights of the table&apos;s rows, and of its head with its frame, px.</extracomment>
        <translation>수정한 내용에서 학습</translation>
    </message>
    <message>
        <source>Class</source>
        <extracomment>Titles of the columns of the classes.</extracomment>
        <translation>클래스</translation>
    </message>
    <message>
        <source>Your pixels</source>
        <translation>사용자의 픽셀</translation>
    </message>
    <message>
        <source>Corrected classes</source>
        <translation>수정한 클래스</translation>
    </message>
    <message>
        <source>Layers to train</source>
        <translation>학습할 층</translation>
    </message>
    <message>
        <source>Strength</source>
        <translation>강도</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>취소</translation>
    </message>
    <message>
        <source>Learn</source>
        <translation>학습</translation>
    </message>
    <message>
        <source>The model has none of these classes. Select one for it to learn.</source>
        <translation>모델에 이 클래스들이 없습니다. 학습할 클래스를 선택하세요.</translation>
    </message>
    <message>
        <source>{name} — new to the model</source>
        <translation>{name} — 모델에 새로운 클래스</translation>
    </message>
    <message>
        <source>If selected, the model gets this class, initialised from the class that it predicted for these pixels</source>
        <translation>선택하면 모델에 이 클래스가 생기고, 이 픽셀들을 예측했던 클래스로 초기화됩니다</translation>
    </message>
    <message numerus="yes">
        <source>the image</source>
        <comment>the {n} images</comment>
        <translation>
            <numerusform>이미지 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>{model_name} learns from your pixels in {images} that you corrected; its confident predictions elsewhere stay as they are.</source>
        <translation>{model_name}이(가) 수정한 {images}의 픽셀에서 학습합니다. 다른 곳의 확실한 예측은 그대로입니다.</translation>
    </message>
    <message>
        <source>Of reviewed images the whole mask counts; of others only what you painted.</source>
        <translation>검토한 이미지는 마스크 전체를, 나머지는 직접 칠한 픽셀만 사용합니다.</translation>
    </message>
    <message>
        <source>You can keep working; nothing changes until you accept the result.</source>
        <translation>계속 작업할 수 있습니다. 결과를 적용하기 전에는 아무것도 바뀌지 않습니다.</translation>
    </message>
    <message>
        <source>With a single image, none can be held out to check the result. Use two or more.</source>
        <translation>이미지가 하나면 결과를 확인할 이미지를 따로 둘 수 없습니다. 두 개 이상 쓰세요.</translation>
    </message>
    <message>
        <source>{images} of {touched} corrected images are used, sampled evenly.</source>
        <translation>수정한 이미지 {touched}개 중 고르게 뽑은 {images}을(를) 사용합니다.</translation>
    </message>
    <message>
        <source>Skipped: {names}. {why}</source>
        <translation>건너뜀: {names}. {why}</translation>
    </message>
    <message>
        <source>Held out: before</source>
        <translation>따로 둔 이미지: 이전</translation>
    </message>
    <message>
        <source>after</source>
        <translation>이후</translation>
    </message>
    <message>
        <source>Corrected: before</source>
        <translation>수정한 이미지: 이전</translation>
    </message>
    <message>
        <source>Before</source>
        <translation>이전</translation>
    </message>
    <message>
        <source>After</source>
        <translation>이후</translation>
    </message>
    <message>
        <source>Yours</source>
        <translation>내 라벨</translation>
    </message>
    <message>
        <source>Review learned model</source>
        <translation>학습한 모델 검토</translation>
    </message>
    <message>
        <source>Loading images…</source>
        <translation>이미지 불러오는 중…</translation>
    </message>
    <message>
        <source>IoU of each class before and after</source>
        <translation>각 클래스의 전후 IoU</translation>
    </message>
    <message>
        <source>{name} (new)</source>
        <translation>{name}(새 클래스)</translation>
    </message>
    <message>
        <source>Decide later</source>
        <translation>나중에 결정</translation>
    </message>
    <message>
        <source>Discard</source>
        <translation>버리기</translation>
    </message>
    <message>
        <source>Accept</source>
        <translation>적용</translation>
    </message>
    <message>
        <source>Switches to this model and predicts the images that you have not edited again</source>
        <translation>이 모델로 바꾸고 편집하지 않은 이미지를 다시 예측합니다</translation>
    </message>
    <message>
        <source>by a model that had not seen it</source>
        <translation>이 이미지를 보지 않은 모델</translation>
    </message>
    <message>
        <source>by the model that learned from it</source>
        <translation>이 이미지에서 학습한 모델</translation>
    </message>
    <message>
        <source>{name} · {place} of {images} · after: {seen}</source>
        <translation>{name} · {place}/{images} · 이후: {seen}</translation>
    </message>
    <message>
        <source>{change} points</source>
        <translation>{change}포인트</translation>
    </message>
    <message>
        <source>Brightness and contrast of the view</source>
        <extracomment>Steps of the gamma slider from 1 to the largest.</extracomment>
        <translation>뷰의 밝기와 대비</translation>
    </message>
    <message>
        <source>Brightness</source>
        <translation>밝기</translation>
    </message>
    <message>
        <source>Contrast</source>
        <translation>대비</translation>
    </message>
    <message>
        <source>Gamma</source>
        <translation>감마</translation>
    </message>
    <message>
        <source>Only the view changes: labels, predictions and exports do not. It ends with the session.</source>
        <translation>뷰만 바뀝니다. 라벨, 예측, 내보내기는 바뀌지 않습니다. 프로그램을 끝내면 해제됩니다.</translation>
    </message>
    <message>
        <source>Reset</source>
        <translation>초기화</translation>
    </message>
    <message>
        <source>Close</source>
        <extracomment>How long a message takes to appear, in ms. What the icon, the close button and the margins leave of the width to text and buttons; buttons that need more are stacked.</extracomment>
        <translation>닫기</translation>
    </message>
    <message>
        <source>Edit classes</source>
        <extracomment>Side of a swatch, px.</extracomment>
        <translation>클래스 편집</translation>
    </message>
    <message>
        <source>Name</source>
        <translation>이름</translation>
    </message>
    <message>
        <source>Key</source>
        <translation>키</translation>
    </message>
    <message>
        <source>Id</source>
        <translation>ID</translation>
    </message>
    <message>
        <source>Locked</source>
        <translation>잠김</translation>
    </message>
    <message>
        <source>Hidden</source>
        <translation>숨김</translation>
    </message>
    <message>
        <source>Shown</source>
        <translation>표시</translation>
    </message>
    <message>
        <source>In files</source>
        <translation>파일</translation>
    </message>
    <message>
        <source>The colour on the screen. Dark, pale and similar colours are replaced; see Class colours in the settings.</source>
        <translation>화면의 색. 어둡거나 옅거나 비슷한 색은 바뀝니다. 설정의 클래스 색을 보십시오.</translation>
    </message>
    <message>
        <source>The class&apos;s own colour, which exported files have. Double-click to change it.</source>
        <translation>내보낸 파일에 들어가는 클래스 고유의 색. 두 번 클릭해 바꿉니다.</translation>
    </message>
    <message>
        <source>An assigned key stays with its class. Grey keys are free: they go to the classes of the image in view.</source>
        <translation>지정한 키는 그 클래스에 고정됩니다. 회색 키는 비어 있으며, 보고 있는 이미지의 클래스에 배정됩니다.</translation>
    </message>
    <message>
        <source>No tool, job or import gives a pixel a locked class or takes it from one.</source>
        <translation>어떤 도구, 작업, 가져오기도 픽셀에 잠긴 클래스를 주거나 빼앗지 않습니다.</translation>
    </message>
    <message>
        <source>A hidden class is not drawn over the image.</source>
        <translation>숨긴 클래스는 이미지 위에 그리지 않습니다.</translation>
    </message>
    <message>
        <source>Add</source>
        <translation>추가</translation>
    </message>
    <message>
        <source>Colour…</source>
        <translation>색…</translation>
    </message>
    <message>
        <source>All colours…</source>
        <translation>모든 색…</translation>
    </message>
    <message>
        <source>Key…</source>
        <translation>키…</translation>
    </message>
    <message>
        <source>Up</source>
        <translation>위로</translation>
    </message>
    <message>
        <source>Down</source>
        <translation>아래로</translation>
    </message>
    <message>
        <source>Merge into…</source>
        <translation>병합 대상…</translation>
    </message>
    <message>
        <source>Delete</source>
        <translation>삭제</translation>
    </message>
    <message>
        <source>Import…</source>
        <translation>가져오기…</translation>
    </message>
    <message>
        <source>Take the classes of a file: labelme, CVAT, YOLO, COCO, Label Studio and others</source>
        <translation>파일의 클래스를 가져옵니다: labelme, CVAT, YOLO, COCO, Label Studio 등</translation>
    </message>
    <message>
        <source>Export…</source>
        <translation>내보내기…</translation>
    </message>
    <message>
        <source>Write these classes to a file for another program</source>
        <translation>이 클래스를 다른 프로그램용 파일로 씁니다</translation>
    </message>
    <message>
        <source>Apply</source>
        <translation>적용</translation>
    </message>
    <message>
        <source>{color}. Double-click to change the colour of the class</source>
        <translation>{color}. 두 번 클릭해 클래스의 색을 바꿉니다</translation>
    </message>
    <message>
        <source>Formerly {names}</source>
        <translation>이전 이름: {names}</translation>
    </message>
    <message>
        <source>Assigned</source>
        <translation>지정됨</translation>
    </message>
    <message>
        <source>Double-click to assign a digit</source>
        <translation>숫자를 지정하려면 두 번 클릭하세요</translation>
    </message>
    <message>
        <source>{name} is locked</source>
        <translation>{name} 클래스가 잠겨 있습니다</translation>
    </message>
    <message>
        <source>{name} is hidden</source>
        <translation>{name} 클래스가 숨겨져 있습니다</translation>
    </message>
    <message>
        <source>new class</source>
        <translation>새 클래스</translation>
    </message>
    <message>
        <source>new class {number}</source>
        <translation>새 클래스 {number}</translation>
    </message>
    <message>
        <source>Colour of {name}</source>
        <translation>{name}의 색</translation>
    </message>
    <message>
        <source>No fixed key</source>
        <translation>고정 키 없음</translation>
    </message>
    <message>
        <source>Distinct colours</source>
        <translation>구별되는 색</translation>
    </message>
    <message>
        <source>Distinct for colour-blind eyes</source>
        <translation>색각 이상에도 구별되는 색</translation>
    </message>
    <message>
        <source>Add the classes of a file…</source>
        <translation>파일의 클래스 추가…</translation>
    </message>
    <message>
        <source>Only the classes of a file…</source>
        <translation>파일의 클래스만…</translation>
    </message>
    <message>
        <source>File of classes</source>
        <translation>클래스 파일</translation>
    </message>
    <message>
        <source>Reading {name}…</source>
        <translation>{name} 읽는 중…</translation>
    </message>
    <message>
        <source>Export the classes</source>
        <translation>클래스 내보내기</translation>
    </message>
    <message>
        <source>{name}, locked</source>
        <translation>{name}, 잠김</translation>
    </message>
    <message>
        <source>{name}, may be painted over</source>
        <translation>{name}, 덮어 칠할 수 있음</translation>
    </message>
    <message>
        <source>{name} (id {class_id})</source>
        <translation>{name}(ID {class_id})</translation>
    </message>
    <message>
        <source>{share} of the image</source>
        <translation>이미지의 {share}</translation>
    </message>
    <message>
        <source>Locked: no tool, job or import changes its pixels.</source>
        <translation>잠김: 어떤 도구, 작업, 가져오기도 픽셀을 바꾸지 않습니다.</translation>
    </message>
    <message>
        <source>Only the classes with a brush behind their names may be painted over.</source>
        <translation>이름 뒤에 브러시가 있는 클래스만 덮어 칠할 수 있습니다.</translation>
    </message>
    <message>
        <source>IoU {iou}</source>
        <translation>IoU {iou}</translation>
    </message>
    <message>
        <source>IoU {iou}, {delta} since the image was opened</source>
        <translation>IoU {iou}, 이미지를 연 뒤 {delta}</translation>
    </message>
    <message>
        <source>Click the IoU to see its errors.</source>
        <translation>오류를 보려면 IoU를 클릭하세요.</translation>
    </message>
    <message>
        <source>Key {key}, always</source>
        <translation>{key} 키, 항상</translation>
    </message>
    <message>
        <source>Key {key}, on this image only; right-click to assign a fixed key</source>
        <translation>{key} 키, 이 이미지에서만. 고정 키를 지정하려면 오른쪽 클릭하세요</translation>
    </message>
    <message>
        <source>Click to select, click the square to change the colour, click the eye to show or hide, right-click for more.</source>
        <translation>클릭하면 선택하고, 사각형을 클릭하면 색을 바꾸고, 눈을 클릭하면 표시하거나 숨깁니다. 오른쪽 클릭하면 더 많은 명령이 나옵니다.</translation>
    </message>
    <message>
        <source>Classes of the project</source>
        <translation>프로젝트의 클래스</translation>
    </message>
    <message>
        <source>Ground truth…</source>
        <translation>정답…</translation>
    </message>
    <message>
        <source>Ground truth: {text}</source>
        <translation>정답: {text}</translation>
    </message>
    <message>
        <source>Where the wrong pixels are</source>
        <translation>잘못된 픽셀이 있는 곳</translation>
    </message>
    <message>
        <source>Find a class</source>
        <translation>클래스 찾기</translation>
    </message>
    <message>
        <source>mIoU {iou}</source>
        <translation>mIoU {iou}</translation>
    </message>
    <message>
        <source>{note}
Click to see where the wrong pixels are</source>
        <translation>{note}
클릭하면 잘못된 픽셀이 있는 곳을 봅니다</translation>
    </message>
    <message>
        <source>Classes of the open error: of the ground truth, then predicted</source>
        <translation>열린 오류의 클래스: 정답, 그다음 예측</translation>
    </message>
    <message>
        <source>Select</source>
        <translation>선택</translation>
    </message>
    <message>
        <source>Hide</source>
        <translation>숨기기</translation>
    </message>
    <message>
        <source>Show only this class</source>
        <translation>이 클래스만 표시</translation>
    </message>
    <message>
        <source>Unlock</source>
        <translation>잠금 풀기</translation>
    </message>
    <message>
        <source>Lock</source>
        <translation>잠그기</translation>
    </message>
    <message>
        <source>Paint only over this class</source>
        <translation>이 클래스 위에만 칠하기</translation>
    </message>
    <message>
        <source>Show errors</source>
        <translation>오류 보기</translation>
    </message>
    <message>
        <source>Change colour…</source>
        <translation>색 변경…</translation>
    </message>
    <message>
        <source>Assign key</source>
        <translation>키 지정</translation>
    </message>
    <message>
        <source>Change components</source>
        <translation>성분 변경</translation>
    </message>
    <message>
        <source>All classes</source>
        <translation>모든 클래스</translation>
    </message>
    <message>
        <source>Operation</source>
        <translation>작업</translation>
    </message>
    <message>
        <source>Size</source>
        <translation>크기</translation>
    </message>
    <message>
        <source>Where</source>
        <translation>위치</translation>
    </message>
    <message>
        <source>As opened</source>
        <translation>열었을 때</translation>
    </message>
    <message>
        <source>{share} by hand</source>
        <translation>직접 수정 {share}</translation>
    </message>
    <message>
        <source>Folder: mIoU {mean}, pixel accuracy {accuracy}, {images}.</source>
        <translation>폴더: mIoU {mean}, 픽셀 정확도 {accuracy}, {images}.</translation>
    </message>
    <message>
        <source>Pred.</source>
        <extracomment>Sources of copies in a narrow window.</extracomment>
        <translation>예측</translation>
    </message>
    <message>
        <source>Truth</source>
        <translation>정답</translation>
    </message>
    <message>
        <source>Prev.</source>
        <translation>이전</translation>
    </message>
    <message>
        <source>it is being read</source>
        <translation>읽는 중입니다</translation>
    </message>
    <message>
        <source>{source} ({why})</source>
        <translation>{source}({why})</translation>
    </message>
    <message>
        <source>Picture, view {index}</source>
        <extracomment>Qt&apos;s unit: a notch of a mouse wheel is 120 eighths of a degree; touchpads send fractions of it. Opacity per notch. A press this close (view px) to the split line grabs the line. Events after which no release of the button may come.</extracomment>
        <translation>그림, 뷰 {index}</translation>
    </message>
    <message>
        <source>
Choose what this view shows</source>
        <extracomment>Figures with less room than this, in px, are left to the tooltip.</extracomment>
        <translation>
이 뷰에 표시할 내용을 고르세요</translation>
    </message>
    <message>
        <source>Colour errors by kind</source>
        <translation>종류별로 오류 색칠</translation>
    </message>
    <message>
        <source>Colour errors by class</source>
        <translation>클래스별로 오류 색칠</translation>
    </message>
    <message>
        <source>false</source>
        <extracomment>Kinds of errors in the order of the legend. In a narrow pane they stand below each other.</extracomment>
        <translation>오검출</translation>
    </message>
    <message>
        <source>missed</source>
        <translation>누락</translation>
    </message>
    <message>
        <source>class swap</source>
        <translation>클래스 뒤바뀜</translation>
    </message>
    <message>
        <source>The click network is working…</source>
        <extracomment>Radius of a click&apos;s mark, view px.</extracomment>
        <translation>클릭 네트워크가 계산하는 중…</translation>
    </message>
    <message>
        <source>No mask yet</source>
        <translation>아직 마스크 없음</translation>
    </message>
    <message>
        <source>No confidence yet: run the model</source>
        <translation>아직 신뢰도 없음: 모델을 실행하세요</translation>
    </message>
    <message>
        <source>No CRF preview: switch it on in the CRF dock</source>
        <translation>CRF 미리보기 없음: CRF 패널에서 켜세요</translation>
    </message>
    <message>
        <source>No band: requires ground truth, or a prediction with class edges</source>
        <translation>밴드 없음: 정답이나 클래스 가장자리가 있는 예측이 필요합니다</translation>
    </message>
    <message>
        <source>Waiting for this model</source>
        <translation>이 모델을 기다리는 중</translation>
    </message>
    <message>
        <source>Waiting for both models</source>
        <translation>두 모델을 기다리는 중</translation>
    </message>
    <message>
        <source>Not compared: choose models in Model &gt; Compare models</source>
        <translation>비교하지 않음: 모델 &gt; 모델 비교에서 모델을 고르세요</translation>
    </message>
    <message>
        <source>Reach: {reach} px</source>
        <translation>도달 범위: {reach} px</translation>
    </message>
    <message>
        <source>Wheel: farther or nearer</source>
        <translation>휠: 더 멀리 또는 가까이</translation>
    </message>
    <message>
        <source>Note</source>
        <extracomment>Side of a mark, distance of the marks of whole images from the corner of the pane, and how far around counts as on it, view px. A box with sides shorter than this, in view px, gets a mark and no frame. Characters in a line of a note&apos;s text, and lines that are shown.</extracomment>
        <translation>메모</translation>
    </message>
    <message>
        <source>there is nothing to export</source>
        <extracomment>File endings, in the order in which they are offered. Pictures have so many pixels for one of the screen&apos;s: sharp in print.</extracomment>
        <translation>내보낼 것이 없습니다</translation>
    </message>
    <message>
        <source>The plot is empty</source>
        <translation>그래프가 비어 있습니다</translation>
    </message>
    <message>
        <source>Evaluate the folder first</source>
        <translation>먼저 폴더를 평가하세요</translation>
    </message>
    <message>
        <source>unsupported file type for a plot</source>
        <translation>그래프에 쓸 수 없는 파일 형식입니다</translation>
    </message>
    <message>
        <source>unsupported file type for a comparison</source>
        <extracomment>Bands that both runs are scored in, and the widths that are written: those of ``atrous compare``. Endings of the files, in the order in which they are offered. Errors fixed, and made, with a picture. Gives the (H, W, 3) image, and the (H, W) ground truth and labels of both runs; None where they are not kept any more.</extracomment>
        <translation>비교에 쓸 수 없는 파일 형식입니다</translation>
    </message>
    <message>
        <source>Choose one of {endings}</source>
        <translation>{endings} 중 하나를 고르세요</translation>
    </message>
    <message>
        <source>the picture could not be written</source>
        <translation>그림을 쓸 수 없었습니다</translation>
    </message>
    <message>
        <source>Try again with a smaller window</source>
        <translation>더 작은 창으로 다시 시도하세요</translation>
    </message>
    <message>
        <source>prediction</source>
        <extracomment>Steps between the numbers of an axis, at most; and how far apart they are beside and below a plot, px. Rows of lying bars that are shown at once; the wheel brings the others. Texts longer than this are cut on an axis. How much of its colour a bar or mark of few objects or images keeps. Cells of a heat map hold figures up to so many columns. Width that a legend takes, as a share of the plot.</extracomment>
        <translation>예측</translation>
    </message>
    <message>
        <source>truth</source>
        <translation>정답</translation>
    </message>
    <message>
        <source>{type}px</source>
        <translation>{type}px</translation>
    </message>
    <message>
        <source>{counts} px</source>
        <translation>{counts} px</translation>
    </message>
    <message>
        <source>{value:.1f} % of its ground truth</source>
        <translation>정답의 {value:.1f} %</translation>
    </message>
    <message>
        <source>{names} predicted as {column_names}: {pixels}, {share}</source>
        <translation>{names}을(를) {column_names}(으)로 예측: {pixels}, {share}</translation>
    </message>
    <message>
        <source>Folder job</source>
        <translation>폴더 작업</translation>
    </message>
    <message>
        <source>Do not ask again before jobs that change no mask</source>
        <translation>마스크를 바꾸지 않는 작업 전에는 다시 묻지 않기</translation>
    </message>
    <message>
        <source>You can turn this question on again in Settings, Work</source>
        <translation>설정의 작업에서 이 질문을 다시 켤 수 있습니다</translation>
    </message>
    <message numerus="yes">
        <source>and {n} more</source>
        <comment>and {n} more</comment>
        <translation>
            <numerusform>그 밖에 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>Problem</source>
        <translation>문제</translation>
    </message>
    <message>
        <source>Copy list</source>
        <translation>목록 복사</translation>
    </message>
    <message>
        <source>Open image</source>
        <translation>이미지 열기</translation>
    </message>
    <message>
        <source>{text}, exact</source>
        <translation>{text}, 정확한 계산</translation>
    </message>
    <message>
        <source>Earlier texts</source>
        <extracomment>Height of a row of the list in px, and rows that are shown without scrolling.</extracomment>
        <translation>이전 내용</translation>
    </message>
    <message>
        <source>Down and Up take an earlier text.</source>
        <translation>아래쪽과 위쪽 화살표 키로 이전 내용을 가져옵니다.</translation>
    </message>
    <message>
        <source>Figures of the compared models</source>
        <extracomment>Least width of a column of the table by the number of models, and the widest that the names of rows ask for, px.</extracomment>
        <translation>비교한 모델의 수치</translation>
    </message>
    <message>
        <source>Models to compare</source>
        <extracomment>A panel narrower than this, or than what it needs, has everything behind tabs, in px; and its least width. Widths of models, figures and tabs in a panel of 820 px: names and three figures, verdicts of two models.</extracomment>
        <translation>비교할 모델</translation>
    </message>
    <message>
        <source>Check two to {most} models</source>
        <translation>모델을 두 개에서 {most}개까지 선택하세요</translation>
    </message>
    <message>
        <source>band, px</source>
        <translation>밴드, px</translation>
    </message>
    <message>
        <source>mIoU inside the band by band width, for each model</source>
        <translation>모델별 밴드 너비에 따른 밴드 안 mIoU</translation>
    </message>
    <message>
        <source>Metrics</source>
        <translation>지표</translation>
    </message>
    <message>
        <source>Curves</source>
        <translation>곡선</translation>
    </message>
    <message>
        <source>Trimap curves</source>
        <translation>트라이맵 곡선</translation>
    </message>
    <message>
        <source>Most different ({lines})</source>
        <translation>가장 다른 이미지({lines})</translation>
    </message>
    <message>
        <source>Most different</source>
        <translation>가장 다른 이미지</translation>
    </message>
    <message>
        <source>No other setting</source>
        <translation>다른 설정 없음</translation>
    </message>
    <message>
        <source>Two models to compare</source>
        <translation>비교할 두 모델</translation>
    </message>
    <message>
        <source>Pair of models in the difference view</source>
        <translation>차이 뷰의 모델 쌍</translation>
    </message>
    <message>
        <source>Image</source>
        <extracomment>Titles as shown.</extracomment>
        <translation>이미지</translation>
    </message>
    <message>
        <source>Folder</source>
        <translation>폴더</translation>
    </message>
    <message>
        <source>Scope of the metrics</source>
        <translation>지표의 범위</translation>
    </message>
    <message>
        <source>Metrics of this image, or pooled over all compared images</source>
        <translation>이 이미지의 지표, 또는 비교한 모든 이미지를 통합한 지표</translation>
    </message>
    <message>
        <source>Compare the selected model with itself mirrored, at other scales or strides, with a CRF, another threshold or engine. A line that has a setting gets one more. Masks stay as they are.</source>
        <translation>선택한 모델을 좌우 반전, 다른 배율이나 스트라이드, CRF, 다른 임계값이나 엔진을 쓴 자신과 비교합니다. 설정이 있는 줄에는 설정이 하나 더해집니다. 마스크는 그대로 남습니다.</translation>
    </message>
    <message>
        <source>Errors…</source>
        <translation>오류…</translation>
    </message>
    <message>
        <source>Errors fixed and made</source>
        <translation>고친 오류와 생긴 오류</translation>
    </message>
    <message>
        <source>Which errors of the first model the second fixes and which it makes, on the images with ground truth</source>
        <translation>정답이 있는 이미지에서 두 번째 모델이 첫 번째의 어떤 오류를 고치고 어떤 오류를 만드는지</translation>
    </message>
    <message>
        <source>Verdicts</source>
        <translation>판정</translation>
    </message>
    <message>
        <source>Stop comparing</source>
        <translation>비교 끝내기</translation>
    </message>
    <message>
        <source>Stop comparing and restore the previous views</source>
        <translation>비교를 끝내고 이전 뷰로 돌아갑니다</translation>
    </message>
    <message>
        <source>Add setting</source>
        <translation>설정 추가</translation>
    </message>
    <message>
        <source>Add file…</source>
        <translation>파일 추가…</translation>
    </message>
    <message>
        <source>Compare with a model file that is not in the list</source>
        <translation>목록에 없는 모델 파일과 비교합니다</translation>
    </message>
    <message>
        <source>Run folder</source>
        <translation>폴더 실행</translation>
    </message>
    <message>
        <source>Compare on every image of the folder; predictions are kept for the next run</source>
        <translation>폴더의 모든 이미지에서 비교합니다. 예측은 다음 실행을 위해 보관됩니다</translation>
    </message>
    <message>
        <source>Views of the comparison</source>
        <translation>비교 보기</translation>
    </message>
    <message>
        <source>Requires ground truth. Shows mIoU inside the boundary band for every width, one line per model.</source>
        <translation>정답이 필요합니다. 너비마다 경계 밴드 안의 mIoU를 모델별 선으로 보여 줍니다.</translation>
    </message>
    <message>
        <source>Differ</source>
        <translation>차이</translation>
    </message>
    <message>
        <source>mIoU</source>
        <translation>mIoU</translation>
    </message>
    <message>
        <source>Share of pixels on which the two models differ</source>
        <extracomment>Lines that are made: the end of a longer list is not read.</extracomment>
        <translation>두 모델이 다른 픽셀의 비율</translation>
    </message>
    <message>
        <source>Second minus first, in percentage points</source>
        <translation>두 번째에서 첫 번째를 뺀 값(퍼센트포인트)</translation>
    </message>
    <message>
        <source>Images on which the models differ most</source>
        <translation>모델이 가장 많이 다른 이미지</translation>
    </message>
    <message>
        <source>Compare with a model</source>
        <extracomment>Height of the dock on the first day, in px.</extracomment>
        <translation>모델과 비교</translation>
    </message>
    <message>
        <source>Run the folder to see what each model does to the figures of A, with intervals and verdicts.</source>
        <translation>폴더를 실행하면 각 모델이 A의 수치를 어떻게 바꾸는지 구간과 판정으로 보입니다.</translation>
    </message>
    <message>
        <source>Intervals and verdicts come when the folder is compared.</source>
        <translation>폴더 비교가 끝나면 구간과 판정이 나옵니다.</translation>
    </message>
    <message>
        <source>Run the folder to list the images on which these models differ most.</source>
        <translation>폴더를 실행하면 이 모델들이 가장 많이 다른 이미지가 나열됩니다.</translation>
    </message>
    <message>
        <source>Could be</source>
        <translation>가능한 클래스</translation>
    </message>
    <message>
        <source>Reason (editable)</source>
        <translation>이유(편집 가능)</translation>
    </message>
    <message>
        <source>Ambiguous regions</source>
        <translation>모호한 영역</translation>
    </message>
    <message>
        <source>Clears the mark of the selected region (Delete)</source>
        <translation>선택한 영역의 표시를 지웁니다(Delete)</translation>
    </message>
    <message>
        <source>Export marks…</source>
        <translation>표시 내보내기…</translation>
    </message>
    <message>
        <source>Writes one NAME.ambiguous.json per image, as read by atrous inspect --ambiguous</source>
        <translation>이미지마다 atrous inspect --ambiguous가 읽는 NAME.ambiguous.json을 씁니다</translation>
    </message>
    <message>
        <source>Excluded from all metrics: {total} px, {regions} in {images}.</source>
        <translation>모든 지표에서 제외: {images}에서 {total} px, {regions}.</translation>
    </message>
    <message numerus="yes">
        <source>{n} region</source>
        <comment>{n} regions</comment>
        <translation>
            <numerusform>영역 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>Nothing is marked. In the Ground truth menu, mark the error under the pointer or draw an outline.</source>
        <translation>표시가 없습니다. 정답 메뉴에서 포인터 아래 오류를 표시하거나 윤곽을 그리세요.</translation>
    </message>
    <message>
        <source>Wrong pixels by class</source>
        <translation>클래스별 잘못된 픽셀</translation>
    </message>
    <message>
        <source>{wrong} px</source>
        <translation>{wrong} px</translation>
    </message>
    <message>
        <source>{kind}: {pixels} px</source>
        <translation>{kind}: {pixels} px</translation>
    </message>
    <message>
        <source>Click to see them</source>
        <translation>클릭하면 보여 줍니다</translation>
    </message>
    <message>
        <source>Shift+Enter: right class, Shift+Z: second guess, Delete: surroundings, Shift+Delete: prediction</source>
        <translation>Shift+Enter: 맞는 클래스, Shift+Z: 2순위 클래스, Delete: 주변 클래스, Shift+Delete: 예측</translation>
    </message>
    <message>
        <source>{name}
{label}
Click to correct it
{keys}</source>
        <translation>{name}
{label}
클릭해서 고치기
{keys}</translation>
    </message>
    <message>
        <source>no picture</source>
        <extracomment>Side of the picture, px, and room for the text below. A page narrower than this has its head in two rows, px, and letters of the order that it shows at least.</extracomment>
        <translation>그림 없음</translation>
    </message>
    <message>
        <source>‹ Back</source>
        <extracomment>What a key of the list does with the selected error.</extracomment>
        <translation>‹ 뒤로</translation>
    </message>
    <message>
        <source>Both directions</source>
        <translation>양방향</translation>
    </message>
    <message>
        <source>Include the opposite confusion</source>
        <translation>반대 방향의 혼동도 포함합니다</translation>
    </message>
    <message>
        <source>Order of the errors</source>
        <translation>오류의 순서</translation>
    </message>
    <message>
        <source>Error components</source>
        <translation>오류 성분</translation>
    </message>
    <message>
        <source>No errors of this kind remain.</source>
        <translation>이 종류의 오류가 남아 있지 않습니다.</translation>
    </message>
    <message>
        <source>under +0.1</source>
        <translation>+0.1 미만</translation>
    </message>
    <message>
        <source>Correct</source>
        <translation>고치기</translation>
    </message>
    <message>
        <source>Give it the right class</source>
        <translation>맞는 클래스 지정</translation>
    </message>
    <message>
        <source>Give it its second guess</source>
        <translation>2순위 클래스 지정</translation>
    </message>
    <message>
        <source>Give it to its surroundings</source>
        <translation>주변 클래스로 바꾸기</translation>
    </message>
    <message>
        <source>Restore it to the prediction</source>
        <translation>예측으로 되돌리기</translation>
    </message>
    <message>
        <source>Mark ambiguous</source>
        <translation>모호함으로 표시</translation>
    </message>
    <message>
        <source>the {components} that win most, in {images}</source>
        <translation>{images}에서 가장 많이 좋아지는 {components}</translation>
    </message>
    <message numerus="yes">
        <source>{n} component</source>
        <comment>{n} components</comment>
        <translation>
            <numerusform>성분 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>{pixels} px in {number}; {first}</source>
        <translation>{number}에서 {pixels} px. {first}</translation>
    </message>
    <message>
        <source>the {components} largest, in {images}</source>
        <translation>{images}에서 가장 큰 {components}</translation>
    </message>
    <message>
        <source>{pixels} px in {number}</source>
        <translation>{number}에서 {pixels} px</translation>
    </message>
    <message>
        <source>{text}; the {components} largest, in {images}</source>
        <translation>{text}. {images}에서 가장 큰 {components}</translation>
    </message>
    <message>
        <source>Back to the list</source>
        <extracomment>Pause before changed figures are shown.</extracomment>
        <translation>목록으로 돌아가기</translation>
    </message>
    <message>
        <source>Done</source>
        <translation>완료</translation>
    </message>
    <message>
        <source>{place} of {components}</source>
        <translation>{place}/{components}</translation>
    </message>
    <message>
        <source>{title} · {place} · {pixels} px</source>
        <translation>{title} · {place} · {pixels} px</translation>
    </message>
    <message>
        <source>Pages of the Evaluation panel</source>
        <extracomment>A panel narrower than this shows the tabs and little else beside them, in px. Width of a button with an icon alone, and Qt&apos;s largest width, in px.</extracomment>
        <translation>평가 패널의 페이지</translation>
    </message>
    <message>
        <source>Refresh</source>
        <translation>새로 고침</translation>
    </message>
    <message>
        <source>Compares every mask with its ground truth; unchanged images are not read again</source>
        <translation>모든 마스크를 정답과 비교합니다. 바뀌지 않은 이미지는 다시 읽지 않습니다</translation>
    </message>
    <message>
        <source>For each class, boundary, extent and segment errors add up to 100 %. Over all classes they add up to more, because a wrong pixel is a miss of one class and a false alarm of another. The other kinds overlap.</source>
        <translation>클래스마다 경계, 범위, 세그먼트 오류를 합하면 100 %입니다. 전체 클래스로는 더 커집니다. 잘못된 픽셀 하나가 한 클래스의 누락이면서 다른 클래스의 오검출이기 때문입니다. 나머지 종류는 서로 겹칩니다.</translation>
    </message>
    <message>
        <source>n: objects, or images for pixel slices. Pale bars are based on fewer than {objects} objects or {images} images.</source>
        <translation>n: 객체 수, 픽셀 슬라이스에서는 이미지 수. 옅은 막대는 객체 {objects}개 또는 이미지 {images}개 미만에 근거합니다.</translation>
    </message>
    <message>
        <source>A CSV of your own properties of images or objects: every column becomes slices</source>
        <translation>이미지나 객체의 속성을 담은 CSV입니다. 열마다 슬라이스가 됩니다</translation>
    </message>
    <message>
        <source>Class to show</source>
        <translation>표시할 클래스</translation>
    </message>
    <message>
        <source>How the kinds add up</source>
        <translation>종류를 더하는 방법</translation>
    </message>
    <message>
        <source>WRONG PIXELS BY CLASS</source>
        <translation>클래스별 잘못된 픽셀</translation>
    </message>
    <message>
        <source>CONFUSED CLASSES</source>
        <translation>혼동되는 클래스</translation>
    </message>
    <message>
        <source>WEAK SPOTS</source>
        <translation>약한 부분</translation>
    </message>
    <message>
        <source>Choose a table…</source>
        <translation>표 선택…</translation>
    </message>
    <message>
        <source>Remove {name}</source>
        <translation>{name} 제거</translation>
    </message>
    <message>
        <source>Kind</source>
        <translation>종류</translation>
    </message>
    <message>
        <source>Share of the errors</source>
        <translation>오류 중 비율</translation>
    </message>
    <message>
        <source>Instances</source>
        <translation>인스턴스</translation>
    </message>
    <message>
        <source>IoU gain if fixed</source>
        <translation>고치면 오르는 IoU</translation>
    </message>
    <message>
        <source>Kinds of failure</source>
        <extracomment>Columns that give way in a narrow window, first one first: instances, images, pixels. Tokens of the three parts, also used by the bars of the classes.</extracomment>
        <translation>오류 종류</translation>
    </message>
    <message>
        <source>not measured</source>
        <translation>측정하지 않음</translation>
    </message>
    <message>
        <source>Not measured: {missing}.</source>
        <translation>측정하지 않음: {missing}.</translation>
    </message>
    <message>
        <source>Cell values</source>
        <extracomment>Classes that the matrix shows unless all are asked for: those with most wrong pixels. A page narrower than this has its controls in two rows, in px.</extracomment>
        <translation>칸의 값</translation>
    </message>
    <message>
        <source>Class order</source>
        <translation>클래스 순서</translation>
    </message>
    <message>
        <source>With background</source>
        <translation>배경 포함</translation>
    </message>
    <message>
        <source>Include classes that occur in neither ground truth nor prediction, and with more than {most} classes also those with fewer errors</source>
        <translation>정답에도 예측에도 없는 클래스를 포함하고, 클래스가 {most}개를 넘으면 오류가 적은 클래스도 포함합니다</translation>
    </message>
    <message>
        <source>Cell size</source>
        <translation>칸 크기</translation>
    </message>
    <message>
        <source>Cell size   Ctrl+wheel</source>
        <translation>칸 크기   Ctrl+휠</translation>
    </message>
    <message>
        <source>Most costly confusions</source>
        <translation>손실이 가장 큰 혼동</translation>
    </message>
    <message>
        <source>MOST COSTLY</source>
        <translation>손실이 가장 큰 혼동</translation>
    </message>
    <message>
        <source>{names}
{pixels} px · {short_percent} % of errors</source>
        <translation>{names}
{pixels} px · {short_percent} %(오류 중)</translation>
    </message>
    <message>
        <source>Show these errors</source>
        <translation>이 오류 보기</translation>
    </message>
    <message>
        <source>The {shown} classes with most errors of {known}, &apos;{all}&apos; shows the rest · {text}</source>
        <translation>전체 {known}개 중 오류가 가장 많은 클래스 {shown}개, 나머지: &apos;{all}&apos; · {text}</translation>
    </message>
    <message>
        <source>{names}: {pixels} px correct, {share}</source>
        <translation>{names}: {pixels} px 맞음, {share}</translation>
    </message>
    <message>
        <source>{title}: {pixels} px</source>
        <translation>{title}: {pixels} px</translation>
    </message>
    <message>
        <source>{text} · click to see them</source>
        <translation>{text} · 클릭하면 보여 줍니다</translation>
    </message>
    <message>
        <source>of {name}</source>
        <translation>{name} 중</translation>
    </message>
    <message>
        <source>of what is predicted as {name}</source>
        <translation>{name}(으)로 예측한 것 중</translation>
    </message>
    <message>
        <source>of both</source>
        <translation>둘 다의</translation>
    </message>
    <message>
        <source>right</source>
        <extracomment>Size of a step, and gaps, in px.</extracomment>
        <translation>맞음</translation>
    </message>
    <message>
        <source>wrong</source>
        <translation>틀림</translation>
    </message>
    <message>
        <source>Scale of the colours. {steps}</source>
        <translation>색의 눈금. {steps}</translation>
    </message>
    <message>
        <source>predicted →
ground truth ↓</source>
        <translation>예측 →
정답 ↓</translation>
    </message>
    <message>
        <source>Rankings</source>
        <extracomment>Pause before changed figures are shown, and that of a folder with many images. Pixels around a place that is shown, as a part of its size, and the least size that is zoomed to, px.</extracomment>
        <translation>순위</translation>
    </message>
    <message>
        <source>Plots</source>
        <extracomment>Widths of the list of plots: usual and at least; and what the plot keeps beside it, px.</extracomment>
        <translation>그래프</translation>
    </message>
    <message>
        <source>Ambiguous</source>
        <translation>모호함</translation>
    </message>
    <message>
        <source>Folder for the marks</source>
        <translation>표시를 저장할 폴더</translation>
    </message>
    <message>
        <source>Ambiguity marks of {number} exported</source>
        <translation>{number}의 모호함 표시를 내보냈습니다</translation>
    </message>
    <message>
        <source>In {folder}.</source>
        <translation>위치: {folder}.</translation>
    </message>
    <message>
        <source>{name} exported</source>
        <translation>{name} 내보냄</translation>
    </message>
    <message>
        <source>In {parent}.</source>
        <translation>위치: {parent}.</translation>
    </message>
    <message>
        <source>Pair</source>
        <translation>쌍</translation>
    </message>
    <message>
        <source>Share of each class&apos;s loss</source>
        <translation>각 클래스의 손실 중 비율</translation>
    </message>
    <message>
        <source>mIoU gain if fixed</source>
        <translation>고치면 오르는 mIoU</translation>
    </message>
    <message>
        <source>Confused pairs of classes</source>
        <extracomment>Columns that give way in a narrow window, first one first: images, shares of the losses, pixels.</extracomment>
        <translation>혼동되는 클래스 쌍</translation>
    </message>
    <message>
        <source>Loss</source>
        <extracomment>Characters of an image&apos;s name on the button. Parts of the tables that a narrow window shows one at a time: title, whether of the classes or of the splits, and its columns beside the names.</extracomment>
        <translation>손실</translation>
    </message>
    <message>
        <source>Occlusion</source>
        <translation>가림</translation>
    </message>
    <message>
        <source>What this confusion costs</source>
        <translation>이 혼동으로 잃는 것</translation>
    </message>
    <message>
        <source>Parts of the table</source>
        <translation>표의 부분</translation>
    </message>
    <message>
        <source>{share} of it in {image}</source>
        <translation>{image}에 그중 {share}</translation>
    </message>
    <message>
        <source>{image}: select its first error in the list</source>
        <translation>{image}: 목록에서 첫 오류를 선택합니다</translation>
    </message>
    <message>
        <source>Direction</source>
        <translation>방향</translation>
    </message>
    <message>
        <source>PNG picture (*.png)</source>
        <translation>PNG 그림 (*.png)</translation>
    </message>
    <message>
        <source>SVG drawing (*.svg)</source>
        <translation>SVG 그림 (*.svg)</translation>
    </message>
    <message>
        <source>Table (*.csv)</source>
        <translation>표 (*.csv)</translation>
    </message>
    <message>
        <source>Save the plot as PNG or SVG, or its data as CSV</source>
        <translation>그래프를 PNG나 SVG로, 데이터를 CSV로 저장합니다</translation>
    </message>
    <message>
        <source>Nothing to show yet: no image has ground truth and a mask.</source>
        <translation>아직 보여 줄 것이 없습니다. 정답과 마스크가 있는 이미지가 없습니다.</translation>
    </message>
    <message>
        <source>Counting…</source>
        <translation>세는 중…</translation>
    </message>
    <message>
        <source>Export the plot</source>
        <translation>그래프 내보내기</translation>
    </message>
    <message>
        <source>Matrix</source>
        <extracomment>The order of error lists, in the settings.</extracomment>
        <translation>행렬</translation>
    </message>
    <message>
        <source>Failures</source>
        <translation>오류 분석</translation>
    </message>
    <message>
        <source>Table of attributes</source>
        <translation>속성 표</translation>
    </message>
    <message>
        <source>Tables (*.csv *.tsv *.txt)</source>
        <translation>표 (*.csv *.tsv *.txt)</translation>
    </message>
    <message>
        <source>Like {name}.</source>
        <translation>{name}와(과) 비슷한 이미지.</translation>
    </message>
    <message>
        <source>Like a part of {name}.</source>
        <translation>{name}의 한 부분과 비슷함.</translation>
    </message>
    <message>
        <source>Ranking</source>
        <extracomment>From this width in px on the plot is beside the table. Below this width, px, there is room for the rankings and the images only. Width of the list of rankings, px, and in a narrow page. Room that picture and name of an image have before the last columns get any, px; the first two are always there.</extracomment>
        <translation>순위</translation>
    </message>
    <message>
        <source>Places instead of images</source>
        <translation>이미지 대신 위치</translation>
    </message>
    <message>
        <source>Places that may be wrong, of images without ground truth; Next error goes on from the one that you open</source>
        <translation>정답이 없는 이미지에서 틀렸을 수 있는 곳입니다. 다음 오류는 연 곳에서 이어집니다</translation>
    </message>
    <message>
        <source>Images, worst first</source>
        <translation>나쁜 이미지부터</translation>
    </message>
    <message numerus="yes">
        <source>{known} of {n} image has this score</source>
        <comment>{known} of {n} images have this score</comment>
        <translation>
            <numerusform>이미지 {n}개 중 {known}개에 이 점수가 있습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>{text}. {known}. Press N for the next unreviewed image.</source>
        <translation>{text}. {known}. N을 누르면 검토 안 된 다음 이미지로 갑니다.</translation>
    </message>
    <message>
        <source>Measuring…</source>
        <translation>측정 중…</translation>
    </message>
    <message>
        <source>Places</source>
        <translation>위치</translation>
    </message>
    <message>
        <source>&lt;br&gt;Click to see the errors</source>
        <extracomment>How much of its colour a bar of few objects keeps.</extracomment>
        <translation>&lt;br&gt;클릭하면 오류를 봅니다</translation>
    </message>
    <message>
        <source>Edges of ground truth</source>
        <extracomment>(rule, around) of each entry; the void rule needs truth, so it has no entry around the mask. A plot that is less high (px) says nothing.</extracomment>
        <translation>정답의 가장자리</translation>
    </message>
    <message>
        <source>Edges of the mask</source>
        <translation>마스크의 가장자리</translation>
    </message>
    <message>
        <source>Void ring</source>
        <translation>void 테두리</translation>
    </message>
    <message>
        <source>Euclidean distance to a class edge: a pixel next to another class has distance 1. Void is filled with the nearest class and then excluded; the image border is not an edge.</source>
        <translation>클래스 가장자리까지의 유클리드 거리: 다른 클래스와 맞닿은 픽셀의 거리는 1입니다. void는 가장 가까운 클래스로 채운 뒤 제외하며, 이미지 테두리는 가장자리가 아닙니다.</translation>
    </message>
    <message>
        <source>Chebyshev distance (square element) to void pixels of the ground truth, as in the DeepLab papers. Void is excluded.</source>
        <translation>DeepLab 논문처럼 정답의 void 픽셀까지의 체비쇼프 거리(정사각형)입니다. void는 제외합니다.</translation>
    </message>
    <message>
        <source>Band rule</source>
        <translation>밴드 규칙</translation>
    </message>
    <message>
        <source>Scope of the curve</source>
        <translation>곡선의 범위</translation>
    </message>
    <message>
        <source>This image, or pooled over every image that has ground truth and a mask</source>
        <translation>이 이미지, 또는 정답과 마스크가 있는 모든 이미지를 통합</translation>
    </message>
    <message>
        <source>Band width in px</source>
        <translation>밴드 너비(px)</translation>
    </message>
    <message>
        <source>Width</source>
        <translation>너비</translation>
    </message>
    <message>
        <source>Requires ground truth. The curve shows mIoU inside the band for every width.</source>
        <translation>정답이 필요합니다. 밴드 안의 mIoU를 너비별로 보여 줍니다.</translation>
    </message>
    <message>
        <source>{value} px</source>
        <translation>{value} px</translation>
    </message>
    <message>
        <source>in {inside}</source>
        <translation>안 {inside}</translation>
    </message>
    <message>
        <source>in {inside} · out {outside}</source>
        <translation>안 {inside} · 밖 {outside}</translation>
    </message>
    <message>
        <source>mIoU of this image inside and outside the band, averaged over the classes that the ground truth has there</source>
        <translation>이 이미지의 밴드 안팎 mIoU. 그곳의 정답에 있는 클래스의 평균입니다</translation>
    </message>
    <message>
        <source>{width_px} px</source>
        <translation>{width_px} px</translation>
    </message>
    <message>
        <source>The folder is evaluated where it has ground truth and masks; Ctrl+J does it again.</source>
        <translation>정답과 마스크가 있는 이미지에서 폴더를 평가했습니다. Ctrl+J로 다시 평가합니다.</translation>
    </message>
    <message>
        <source>Get a model</source>
        <extracomment>Digits of a checksum that are shown.</extracomment>
        <translation>모델 받기</translation>
    </message>
    <message>
        <source>Filter by architecture, backbone, publisher, licence, or hf://owner/name</source>
        <translation>구조, 백본, 게시자, 라이선스 또는 hf://owner/name으로 거르기</translation>
    </message>
    <message>
        <source>Filter the models</source>
        <translation>모델 필터</translation>
    </message>
    <message>
        <source>Click networks</source>
        <translation>클릭 네트워크</translation>
    </message>
    <message>
        <source>Published models</source>
        <translation>공개된 모델</translation>
    </message>
    <message>
        <source>Status</source>
        <translation>상태</translation>
    </message>
    <message>
        <source>Open its page</source>
        <translation>페이지 열기</translation>
    </message>
    <message>
        <source>Check again</source>
        <translation>다시 확인</translation>
    </message>
    <message>
        <source>After you have copied a file into the folder</source>
        <translation>파일을 폴더에 복사한 뒤에</translation>
    </message>
    <message>
        <source>Fixed</source>
        <translation>고침</translation>
    </message>
    <message>
        <source>Made</source>
        <translation>생김</translation>
    </message>
    <message>
        <source>Fixed − made</source>
        <translation>고침 − 생김</translation>
    </message>
    <message>
        <source>What the second run changed</source>
        <extracomment>A table narrower than this, px, leaves a column out, so that the names of its rows can be read. A page narrower than this, px, has its buttons in a row of their own. A page narrower or lower than this, px, shows rows or errors, not both beside each other.</extracomment>
        <translation>두 번째 실행이 바꾼 것</translation>
    </message>
    <message>
        <source>Change, points</source>
        <translation>변화, 포인트</translation>
    </message>
    <message>
        <source>Pixels, with the 95 % interval over images</source>
        <translation>픽셀과 이미지에 대한 95 % 구간</translation>
    </message>
    <message>
        <source>Score, with the 95 % interval over images</source>
        <translation>점수와 이미지에 대한 95 % 구간</translation>
    </message>
    <message>
        <source>First run</source>
        <translation>첫 번째 실행</translation>
    </message>
    <message>
        <source>Second run</source>
        <translation>두 번째 실행</translation>
    </message>
    <message>
        <source>Compare errors</source>
        <translation>오류 비교</translation>
    </message>
    <message>
        <source>On every image with ground truth; predictions are kept for the next time</source>
        <translation>정답이 있는 모든 이미지에서 비교합니다. 예측은 다음을 위해 보관됩니다</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>중지</translation>
    </message>
    <message>
        <source>Export the comparison</source>
        <translation>비교 내보내기</translation>
    </message>
    <message>
        <source>Writes scores, kinds, pairs, cells, slices and errors as HTML, JSON or CSV</source>
        <translation>점수, 종류, 쌍, 칸, 슬라이스, 오류를 HTML, JSON, CSV로 씁니다</translation>
    </message>
    <message>
        <source>What the rows are</source>
        <translation>행의 내용</translation>
    </message>
    <message>
        <source>Fixed or made errors</source>
        <translation>고치거나 생긴 오류</translation>
    </message>
    <message>
        <source>Show rows</source>
        <translation>행 보기</translation>
    </message>
    <message>
        <source>Keep again…</source>
        <translation>다시 보관…</translation>
    </message>
    <message>
        <source>Delete…</source>
        <translation>삭제…</translation>
    </message>
    <message>
        <source>Errors fixed or made</source>
        <translation>고치거나 생긴 오류</translation>
    </message>
    <message>
        <source>Remove run…</source>
        <translation>실행 제거…</translation>
    </message>
    <message>
        <source>Keep run…</source>
        <translation>실행 보관…</translation>
    </message>
    <message>
        <source>Deletes the second run from the project</source>
        <translation>두 번째 실행을 프로젝트에서 삭제합니다</translation>
    </message>
    <message>
        <source>Keeps the labels of the second run with the project, under a name, with date, settings and figures</source>
        <translation>두 번째 실행의 라벨을 이름, 날짜, 설정, 수치와 함께 프로젝트에 보관합니다</translation>
    </message>
    <message>
        <source>Look up</source>
        <translation>조회</translation>
    </message>
    <message>
        <source>Ask the Hugging Face Hub for files and licence; nothing is downloaded yet</source>
        <translation>Hugging Face Hub에 파일과 라이선스를 묻습니다. 아직 아무것도 내려받지 않습니다</translation>
    </message>
    <message>
        <source>Get</source>
        <translation>받기</translation>
    </message>
    <message>
        <source>Networks published by their authors. Downloads go to {folder}</source>
        <translation>저자가 공개한 네트워크입니다. {folder}에 내려받습니다</translation>
    </message>
    <message>
        <source>Looking it up…</source>
        <translation>조회 중…</translation>
    </message>
    <message>
        <source>Continue</source>
        <translation>계속</translation>
    </message>
    <message>
        <source>No model matches the filter</source>
        <translation>필터에 맞는 모델이 없습니다</translation>
    </message>
    <message>
        <source>mIoU {miou:g} on {data}, according to {source}</source>
        <translation>{source}에 따르면 {data}에서 mIoU {miou:g}</translation>
    </message>
    <message>
        <source>mIoU unknown</source>
        <translation>mIoU 알 수 없음</translation>
    </message>
    <message>
        <source>Requires the extra &apos;{needs}&apos;</source>
        <translation>추가 패키지 &apos;{needs}&apos;이(가) 필요합니다</translation>
    </message>
    <message>
        <source>Classes unknown</source>
        <translation>클래스 알 수 없음</translation>
    </message>
    <message>
        <source>Click network</source>
        <translation>클릭 네트워크</translation>
    </message>
    <message>
        <source>Licence: {licence}. Trained on {data_licence}.</source>
        <translation>라이선스: {licence}. 학습 데이터: {data_licence}.</translation>
    </message>
    <message>
        <source>from {host}.</source>
        <translation>출처: {host}.</translation>
    </message>
    <message>
        <source>Checksum: sha256 {sha256_prefix}…</source>
        <translation>체크섬: sha256 {sha256_prefix}…</translation>
    </message>
    <message>
        <source>No checksum is published.</source>
        <translation>공개된 체크섬이 없습니다.</translation>
    </message>
    <message>
        <source>{done} of {total}</source>
        <translation>{done}/{total}</translation>
    </message>
    <message>
        <source>Waiting for the previous download.</source>
        <translation>앞선 다운로드를 기다리는 중입니다.</translation>
    </message>
    <message>
        <source>Installed: {path}</source>
        <translation>설치됨: {path}</translation>
    </message>
    <message>
        <source>The publisher allows downloads by browser only: open its page, download {file}, and copy it into {folder}.</source>
        <translation>게시자가 브라우저로만 내려받게 합니다. 페이지를 열어 {file}을(를) 내려받고 {folder}에 복사하세요.</translation>
    </message>
    <message>
        <source>{size} of an earlier download are kept.</source>
        <translation>이전 다운로드의 {size}이(가) 남아 있습니다.</translation>
    </message>
    <message>
        <source>{one} and {other}</source>
        <translation>{one}, {other}</translation>
    </message>
    <message>
        <source>Publisher</source>
        <translation>게시자</translation>
    </message>
    <message>
        <source>{data}. Figures on different data sets cannot be compared.</source>
        <extracomment>Stands for click networks in the filter of classes.</extracomment>
        <translation>{data}. 데이터 세트가 다른 수치는 서로 비교할 수 없습니다.</translation>
    </message>
    <message>
        <source>Not published</source>
        <translation>공개되지 않음</translation>
    </message>
    <message>
        <source>for clicks</source>
        <translation>클릭용</translation>
    </message>
    <message>
        <source>unknown</source>
        <translation>알 수 없음</translation>
    </message>
    <message>
        <source>{size:.1f} MB</source>
        <translation>{size:.1f} MB</translation>
    </message>
    <message>
        <source>{size:,.0f} MB</source>
        <translation>{size:,.0f} MB</translation>
    </message>
    <message>
        <source>testing</source>
        <translation>시험 중</translation>
    </message>
    <message>
        <source>cannot be used</source>
        <translation>사용할 수 없음</translation>
    </message>
    <message>
        <source>{percent} % downloaded</source>
        <translation>{percent} % 다운로드됨</translation>
    </message>
    <message>
        <source>{size} downloaded</source>
        <translation>{size} 다운로드됨</translation>
    </message>
    <message>
        <source>Classes of the model</source>
        <translation>모델의 클래스</translation>
    </message>
    <message>
        <source>The model predicts {theirs}, the project uses {ours}. Classes with the same name are matched.</source>
        <translation>모델은 {theirs}을(를) 예측하고 프로젝트는 {ours}을(를) 씁니다. 이름이 같은 클래스는 연결되었습니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} has no match: choose a class, or void.</source>
        <comment>{n} have no match: choose a class, or void.</comment>
        <translation>
            <numerusform>{n}개에 대응하는 클래스가 없습니다. 클래스나 void를 고르세요.</numerusform>
        </translation>
    </message>
    <message>
        <source>Project</source>
        <translation>프로젝트</translation>
    </message>
    <message>
        <source>choose…</source>
        <translation>선택…</translation>
    </message>
    <message>
        <source>void (unlabelled)</source>
        <extracomment>Name of the row for pixels without a class.</extracomment>
        <translation>void(라벨 없음)</translation>
    </message>
    <message>
        <source>Void for the rest</source>
        <translation>나머지는 void</translation>
    </message>
    <message>
        <source>Use the model&apos;s classes for the project</source>
        <translation>프로젝트에 모델의 클래스 사용</translation>
    </message>
    <message>
        <source>Use this</source>
        <translation>이것 사용</translation>
    </message>
    <message>
        <source>{left} still unmatched</source>
        <translation>{left}이(가) 아직 연결되지 않음</translation>
    </message>
    <message>
        <source>3 scales</source>
        <translation>배율 3개</translation>
    </message>
    <message>
        <source>6 scales</source>
        <translation>배율 6개</translation>
    </message>
    <message>
        <source>No model yet. Choose &apos;Get a model…&apos; in the list above, open a model file, drop one on the window, or set a model folder in the settings.</source>
        <translation>아직 모델이 없습니다. 위 목록에서 &apos;모델 받기…&apos;를 고르거나, 모델 파일을 열거나, 창에 끌어 놓거나, 설정에서 모델 폴더를 지정하세요.</translation>
    </message>
    <message>
        <source>fastest</source>
        <translation>가장 빠름</translation>
    </message>
    <message>
        <source>ONNX Runtime</source>
        <translation>ONNX Runtime</translation>
    </message>
    <message>
        <source>OpenVINO</source>
        <translation>OpenVINO</translation>
    </message>
    <message>
        <source>{title}: {line}</source>
        <extracomment>Role of the line about a model in the opened list; the closed box shows the title only. Height of a separator, and the widest list, in px. Height that a window keeps for what is around the inference options, and the least height of these, in px.</extracomment>
        <translation>{title}: {line}</translation>
    </message>
    <message>
        <source>Threshold</source>
        <translation>임계값</translation>
    </message>
    <message>
        <source>Pixels with a probability above this become the object; your own pixels stay</source>
        <translation>확률이 이보다 높은 픽셀이 객체가 됩니다. 사용자의 픽셀은 그대로입니다</translation>
    </message>
    <message>
        <source>Run image</source>
        <translation>이미지 실행</translation>
    </message>
    <message>
        <source>Learn…</source>
        <translation>학습…</translation>
    </message>
    <message>
        <source>Adapt the model to your corrections; compare before and after, then decide</source>
        <translation>모델을 수정한 내용에 적응시킵니다. 전후를 비교한 뒤 결정하세요</translation>
    </message>
    <message>
        <source>AMX</source>
        <translation>AMX</translation>
    </message>
    <message>
        <source>Inference options</source>
        <translation>추론 옵션</translation>
    </message>
    <message>
        <source>Inference options: output stride, scales, device, precision</source>
        <translation>추론 옵션: 출력 스트라이드, 배율, 장치, 정밀도</translation>
    </message>
    <message>
        <source>No model yet</source>
        <translation>아직 모델 없음</translation>
    </message>
    <message numerus="yes">
        <source>{n} value is guessed…</source>
        <comment>{n} values are guessed…</comment>
        <translation>
            <numerusform>값 {n}개 추정…</numerusform>
        </translation>
    </message>
    <message>
        <source>{guesses}.
Click to view and set the values.</source>
        <translation>{guesses}.
값을 보고 설정하려면 클릭하세요.</translation>
    </message>
    <message>
        <source>{milliseconds} ms</source>
        <translation>{milliseconds} ms</translation>
    </message>
    <message>
        <source>as trained</source>
        <translation>학습한 대로</translation>
    </message>
    <message>
        <source>also mirrored</source>
        <translation>좌우 반전도</translation>
    </message>
    <message>
        <source>Averages the probabilities with those of the mirrored image: better borders, twice the time</source>
        <translation>좌우 반전한 이미지의 확률과 평균합니다. 경계가 좋아지고 시간이 두 배 걸립니다</translation>
    </message>
    <message>
        <source>Output stride</source>
        <translation>출력 스트라이드</translation>
    </message>
    <message>
        <source>8 resolves finer borders than 16 and takes about four times as long</source>
        <translation>8은 16보다 경계가 섬세하고 시간이 네 배쯤 걸립니다</translation>
    </message>
    <message>
        <source>Scales</source>
        <translation>배율</translation>
    </message>
    <message>
        <source>Averages the probabilities over the scales: better masks, several times the time</source>
        <translation>배율별 확률을 평균합니다. 마스크가 좋아지고 시간이 몇 배 걸립니다</translation>
    </message>
    <message>
        <source>Device</source>
        <translation>장치</translation>
    </message>
    <message>
        <source>auto uses a GPU if one is available</source>
        <translation>auto는 GPU가 있으면 사용합니다</translation>
    </message>
    <message>
        <source>Precision</source>
        <translation>정밀도</translation>
    </message>
    <message>
        <source>auto uses fp32 on a CPU</source>
        <translation>auto는 CPU에서 fp32를 씁니다</translation>
    </message>
    <message>
        <source>Engine</source>
        <translation>엔진</translation>
    </message>
    <message>
        <source>ONNX Runtime computes in this light installation; other engines need PyTorch</source>
        <translation>이 경량 설치에서는 ONNX Runtime이 계산합니다. 다른 엔진에는 PyTorch가 필요합니다</translation>
    </message>
    <message>
        <source>What computes on a CPU. &apos;fastest&apos; tries the installed engines once for each model and size; other engines than torch may differ at ties</source>
        <translation>CPU에서 계산하는 엔진입니다. &apos;가장 빠름&apos;은 모델과 크기마다 설치된 엔진을 한 번씩 시험합니다. torch가 아닌 엔진은 동점에서 결과가 다를 수 있습니다</translation>
    </message>
    <message>
        <source>Model options</source>
        <translation>모델 옵션</translation>
    </message>
    <message>
        <source>A weights file does not fully describe its network.</source>
        <translation>가중치 파일만으로는 네트워크를 완전히 알 수 없습니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} of these values is guessed: correct it or confirm it.</source>
        <comment>{n} of these values are guessed: correct the wrong ones and confirm the right ones.</comment>
        <translation>
            <numerusform>이 값 중 {n}개는 추정한 것입니다. 고치거나 확인하세요.</numerusform>
        </translation>
    </message>
    <message>
        <source>Your choices are stored in a card beside the model file.</source>
        <translation>선택한 값은 모델 파일 옆의 카드에 저장됩니다.</translation>
    </message>
    <message>
        <source>set by you</source>
        <translation>직접 설정</translation>
    </message>
    <message>
        <source>the card</source>
        <translation>카드</translation>
    </message>
    <message>
        <source>guessed; confirm</source>
        <translation>추정, 확인 필요</translation>
    </message>
    <message>
        <source>{label}: confirm the guess</source>
        <translation>{label}: 추정값 확인</translation>
    </message>
    <message>
        <source>{model} was made for rendered rooms</source>
        <extracomment>Commands that the buttons of the dock stand for.</extracomment>
        <translation>{model}은(는) 렌더링한 방을 위해 만들었습니다</translation>
    </message>
    <message>
        <source>On photographs it is weak. Download a published model, or let it learn from your corrections.</source>
        <translation>사진에서는 약합니다. 공개된 모델을 내려받거나 수정한 내용에서 학습시키세요.</translation>
    </message>
    <message>
        <source>Receptive field: computing…</source>
        <translation>수용 영역: 계산 중…</translation>
    </message>
    <message>
        <source>Receptive field: rest the pointer on a pixel of the image</source>
        <translation>수용 영역: 이미지의 한 픽셀 위에 포인터를 멈추세요</translation>
    </message>
    <message>
        <source>No receptive field</source>
        <translation>수용 영역 없음</translation>
    </message>
    <message>
        <source>Files read</source>
        <translation>읽은 파일</translation>
    </message>
    <message>
        <source>Void</source>
        <translation>void</translation>
    </message>
    <message>
        <source>Undeclared ids</source>
        <translation>선언되지 않은 ID</translation>
    </message>
    <message>
        <source>Which classes does the ground truth use?</source>
        <translation>정답이 쓰는 클래스는 무엇인가요?</translation>
    </message>
    <message>
        <source>{title} · now</source>
        <translation>{title} · 현재</translation>
    </message>
    <message>
        <source>Use these classes</source>
        <translation>이 클래스 사용</translation>
    </message>
    <message>
        <source>There is no ground truth, so no choice can be checked.</source>
        <translation>정답이 없어 어느 선택도 확인할 수 없습니다.</translation>
    </message>
    <message>
        <source>{images} have ground truth; {sampled} of the files were checked.</source>
        <translation>{images}에 정답이 있으며, 그중 파일 {sampled}개를 확인했습니다.</translation>
    </message>
    <message>
        <source>Which masks are the ground truth?</source>
        <translation>어느 마스크가 정답인가요?</translation>
    </message>
    <message>
        <source>Another folder…</source>
        <translation>다른 폴더…</translation>
    </message>
    <message>
        <source>Ground truth folder</source>
        <translation>정답 폴더</translation>
    </message>
    <message numerus="yes">
        <source>{n} class written to {name}.</source>
        <comment>{n} classes written to {name}.</comment>
        <translation>
            <numerusform>클래스 {n}개를 {name}에 썼습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>This form keeps no colours.</source>
        <translation>이 형식은 색을 보존하지 않습니다.</translation>
    </message>
    <message>
        <source>These masks are predictions of {model}. Use them as ground truth?</source>
        <translation>이 마스크는 {model}의 예측입니다. 정답으로 사용할까요?</translation>
    </message>
    <message>
        <source>These masks are predictions. Use them as ground truth?</source>
        <translation>이 마스크는 예측입니다. 정답으로 사용할까요?</translation>
    </message>
    <message>
        <source>{folder}

Metrics against a model&apos;s own masks say nothing about its errors. The Classes panel will show where the ground truth comes from.</source>
        <translation>{folder}

모델 자신의 마스크와 비교한 지표는 모델의 오류를 알려 주지 않습니다. 정답의 출처는 클래스 패널에 표시됩니다.</translation>
    </message>
    <message>
        <source>Use them</source>
        <translation>사용</translation>
    </message>
    <message>
        <source>Do not use them</source>
        <translation>사용 안 함</translation>
    </message>
    <message>
        <source>The project&apos;s classes</source>
        <translation>프로젝트의 클래스</translation>
    </message>
    <message>
        <source>From a file…</source>
        <translation>파일에서…</translation>
    </message>
    <message>
        <source>Classes of the files</source>
        <translation>파일의 클래스</translation>
    </message>
    <message>
        <source>Class of the project</source>
        <translation>프로젝트의 클래스</translation>
    </message>
    <message>
        <source>Becomes</source>
        <translation>바뀔 클래스</translation>
    </message>
    <message>
        <source>What {name} becomes</source>
        <translation>{name}이(가) 바뀔 클래스</translation>
    </message>
    <message>
        <source>no partner</source>
        <translation>대응 없음</translation>
    </message>
    <message>
        <source>Export masks</source>
        <translation>마스크 내보내기</translation>
    </message>
    <message>
        <source>Export the prediction of images without a corrected mask</source>
        <translation>수정한 마스크가 없는 이미지는 예측을 내보냅니다</translation>
    </message>
    <message>
        <source>Export the labels of rejected images too</source>
        <translation>반려된 이미지의 라벨도 내보냅니다</translation>
    </message>
    <message>
        <source>Keep the image&apos;s extension in the name: a.jpg.png for a.jpg</source>
        <translation>이름에 이미지 확장자 유지: a.jpg는 a.jpg.png</translation>
    </message>
    <message>
        <source>As stored in the file (for training code that ignores EXIF)</source>
        <translation>파일에 저장된 대로(EXIF를 무시하는 학습 코드용)</translation>
    </message>
    <message>
        <source>As displayed (EXIF orientation applied)</source>
        <translation>표시되는 대로(EXIF 방향 적용)</translation>
    </message>
    <message>
        <source>Choose…</source>
        <translation>선택…</translation>
    </message>
    <message>
        <source>Format</source>
        <translation>형식</translation>
    </message>
    <message>
        <source>Orientation</source>
        <translation>방향</translation>
    </message>
    <message>
        <source>Names</source>
        <translation>이름</translation>
    </message>
    <message>
        <source>Replace them</source>
        <translation>바꾸기</translation>
    </message>
    <message>
        <source>Keep them, export the rest</source>
        <translation>유지하고 나머지만 내보내기</translation>
    </message>
    <message>
        <source>Rooms and their masks</source>
        <translation>방과 마스크</translation>
    </message>
    <message>
        <source>These rooms are rendered. A network labels the image in view, and ground truth measures its mask. {previous} and {next} move through the images. Then press Next.</source>
        <translation>렌더링한 방입니다. 네트워크가 보고 있는 이미지에 라벨을 만들고, 정답으로 마스크를 잽니다. {previous}와(과) {next}(으)로 이미지를 넘깁니다. 그런 다음 &apos;다음&apos;을 누르세요.</translation>
    </message>
    <message>
        <source>Label them all</source>
        <translation>모두 라벨 만들기</translation>
    </message>
    <message>
        <source>Press Run folder in the Model panel: the network labels every room in the background. Then press Next.</source>
        <translation>모델 패널에서 폴더 실행을 누르세요. 네트워크가 백그라운드에서 모든 방에 라벨을 만듭니다. 그런 다음 &apos;다음&apos;을 누르세요.</translation>
    </message>
    <message>
        <source>Where are the errors?</source>
        <translation>오류는 어디에 있나요?</translation>
    </message>
    <message>
        <source>Press Errors in the top bar. Atrous compares the mask of every room with its ground truth.</source>
        <translation>위쪽 막대에서 오류를 누르세요. Atrous가 모든 방의 마스크를 정답과 비교합니다.</translation>
    </message>
    <message>
        <source>Chair or sofa?</source>
        <translation>의자인가 소파인가?</translation>
    </message>
    <message>
        <source>A row of the matrix is what the objects are, a column is what the network says. Click the cell of row chair and column sofa, then the first error in the list: Atrous opens its image there.</source>
        <translation>행렬의 행은 객체가 실제로 무엇인지, 열은 네트워크가 무엇이라고 하는지입니다. chair 행과 sofa 열의 칸을 클릭하고 목록의 첫 오류를 클릭하세요. Atrous가 그 이미지를 그 위치에서 엽니다.</translation>
    </message>
    <message>
        <source>Correct it</source>
        <translation>고치기</translation>
    </message>
    <message>
        <source>The dashed outline is the wrong part, and its right class is selected. {give} gives it that class, or paint it.</source>
        <translation>점선 윤곽이 잘못된 부분이고, 맞는 클래스가 선택되어 있습니다. {give}을(를) 누르면 그 클래스가 됩니다. 직접 칠해도 됩니다.</translation>
    </message>
    <message>
        <source>Watch the IoU</source>
        <translation>IoU 보기</translation>
    </message>
    <message>
        <source>The mean IoU of this image was {before} and is {now}. {undo} takes the step back. Then press Next.</source>
        <translation>이 이미지의 평균 IoU가 {before}에서 {now}(으)로 바뀌었습니다. {undo}을(를) 누르면 단계가 되돌려집니다. 그런 다음 &apos;다음&apos;을 누르세요.</translation>
    </message>
    <message>
        <source>Export</source>
        <translation>내보내기</translation>
    </message>
    <message>
        <source>{export} writes the corrected masks to a folder of your choice. The images themselves never change.</source>
        <translation>{export}을(를) 누르면 수정한 마스크를 원하는 폴더에 씁니다. 이미지 자체는 절대 바뀌지 않습니다.</translation>
    </message>
    <message>
        <source>That was the tour</source>
        <translation>둘러보기가 끝났습니다</translation>
    </message>
    <message>
        <source>{palette} finds every command, and {keys} shows the keys. Open a folder of your own with {open}.</source>
        <translation>{palette}에서 모든 명령을 찾고, {keys}에서 키를 봅니다. 자신의 폴더는 {open}(으)로 여세요.</translation>
    </message>
    <message>
        <source>choose a folder to export into</source>
        <translation>내보낼 폴더를 고르세요</translation>
    </message>
    <message>
        <source>No image matches this scope yet.</source>
        <translation>이 범위에 맞는 이미지가 아직 없습니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} group stays together.</source>
        <comment>{n} groups stay together.</comment>
        <translation>
            <numerusform>그룹 {n}개가 나뉘지 않습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>{refused} cannot be exported; the others are. {first}</source>
        <translation>{refused}은(는) 내보낼 수 없으며 나머지는 내보냅니다. {first}</translation>
    </message>
    <message numerus="yes">
        <source>{n} of the files is already there; the first is {first}.</source>
        <comment>{n} of the files are already there; the first is {first}.</comment>
        <translation>
            <numerusform>파일 {n}개가 이미 있습니다. 첫 파일: {first}.</numerusform>
        </translation>
    </message>
    <message>
        <source>Every file is read back and verified before it replaces another.</source>
        <translation>모든 파일은 다시 읽어 확인한 뒤에 다른 파일을 대신합니다.</translation>
    </message>
    <message>
        <source>Export into</source>
        <translation>내보낼 위치</translation>
    </message>
    <message>
        <source>Copy them</source>
        <translation>복사</translation>
    </message>
    <message>
        <source>Link to them</source>
        <translation>링크</translation>
    </message>
    <message>
        <source>Leave them out</source>
        <translation>제외</translation>
    </message>
    <message>
        <source>Polygons</source>
        <translation>다각형</translation>
    </message>
    <message>
        <source>Masks</source>
        <translation>마스크</translation>
    </message>
    <message>
        <source>One for each class</source>
        <translation>클래스마다 하나</translation>
    </message>
    <message>
        <source>One for each region</source>
        <translation>영역마다 하나</translation>
    </message>
    <message>
        <source>None</source>
        <translation>없음</translation>
    </message>
    <message>
        <source>By shares</source>
        <translation>비율로</translation>
    </message>
    <message>
        <source>By lists of images</source>
        <translation>이미지 목록으로</translation>
    </message>
    <message>
        <source>Each image for itself</source>
        <translation>이미지마다 따로</translation>
    </message>
    <message>
        <source>Folders stay together</source>
        <translation>폴더는 나누지 않음</translation>
    </message>
    <message>
        <source>What a pattern finds</source>
        <translation>패턴에 맞는 것</translation>
    </message>
    <message>
        <source>Shares of the splits</source>
        <extracomment>Rows below &quot;More options&quot;.</extracomment>
        <translation>분할 비율</translation>
    </message>
    <message>
        <source>train=train.txt; val=val.txt</source>
        <translation>train=train.txt; val=val.txt</translation>
    </message>
    <message>
        <source>Lists of the splits</source>
        <translation>분할 목록</translation>
    </message>
    <message>
        <source>regular expression, as in ^(.+)_\d+</source>
        <translation>^(.+)_\d+ 같은 정규식</translation>
    </message>
    <message>
        <source>Pattern for the paths of images that stay together</source>
        <translation>나누지 않을 이미지 경로의 패턴</translation>
    </message>
    <message>
        <source>Balance the classes</source>
        <translation>클래스 균형 맞추기</translation>
    </message>
    <message>
        <source>Count what is lost</source>
        <translation>손실 세기</translation>
    </message>
    <message>
        <source>Image files</source>
        <translation>이미지 파일</translation>
    </message>
    <message>
        <source>Shapes</source>
        <translation>도형</translation>
    </message>
    <message>
        <source>Annotations</source>
        <translation>주석</translation>
    </message>
    <message>
        <source>Splits</source>
        <translation>분할</translation>
    </message>
    <message>
        <source>In a split</source>
        <translation>분할별로</translation>
    </message>
    <message>
        <source>Seed</source>
        <translation>시드</translation>
    </message>
    <message>
        <source>More options</source>
        <translation>추가 옵션</translation>
    </message>
    <message>
        <source>chair=seat, sofa=seat, plant=void</source>
        <translation>chair=seat, sofa=seat, plant=void</translation>
    </message>
    <message>
        <source>Classes without a partner become void, and are counted</source>
        <translation>대응이 없는 클래스는 void가 되며 수를 셉니다</translation>
    </message>
    <message>
        <source>Also write who set each pixel; an import reads it again</source>
        <translation>픽셀마다 누가 정했는지도 씁니다. 가져올 때 다시 읽습니다</translation>
    </message>
    <message>
        <source>Tolerance</source>
        <translation>허용 오차</translation>
    </message>
    <message>
        <source>Leave out under</source>
        <translation>제외 기준</translation>
    </message>
    <message>
        <source>Write classes as</source>
        <translation>클래스 표기</translation>
    </message>
    <message>
        <source>Other classes</source>
        <translation>다른 클래스</translation>
    </message>
    <message>
        <source>Provenance</source>
        <translation>픽셀 출처</translation>
    </message>
    <message>
        <source>Lost: {what}.</source>
        <translation>손실: {what}.</translation>
    </message>
    <message>
        <source>Nothing is lost.</source>
        <translation>손실이 없습니다.</translation>
    </message>
    <message>
        <source>Writes {files}. Exact pixels: {exact}. {loses}</source>
        <translation>{files}을(를) 씁니다. 정확한 픽셀: {exact}. {loses}</translation>
    </message>
    <message>
        <source>no split is named</source>
        <translation>지정된 분할이 없습니다</translation>
    </message>
    <message>
        <source>Write NAME=SHARE, as in train=0.8 and val=0.2</source>
        <translation>NAME=SHARE 형식으로 쓰세요. 예: train=0.8, val=0.2</translation>
    </message>
    <message>
        <source>Write NAME=FILE, as in train=train.txt</source>
        <translation>NAME=FILE 형식으로 쓰세요. 예: train=train.txt</translation>
    </message>
    <message>
        <source>the pattern is empty</source>
        <translation>패턴이 비어 있습니다</translation>
    </message>
    <message>
        <source>Write what the paths of a group share</source>
        <translation>그룹의 경로가 공유하는 부분을 쓰세요</translation>
    </message>
    <message numerus="yes">
        <source>{n} class has no partner ({names}): images with it are not exported.</source>
        <comment>{n} classes have no partner ({names}): images with them are not exported.</comment>
        <translation>
            <numerusform>클래스 {n}개에 대응이 없습니다({names}). 이 클래스가 있는 이미지는 내보내지 않습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>Counting… {done} of {total}</source>
        <translation>세는 중… {done}/{total}</translation>
    </message>
    <message>
        <source>Lists of images, one for each split</source>
        <translation>이미지 목록, 분할마다 하나</translation>
    </message>
    <message>
        <source>Lists (*.txt);;All files (*)</source>
        <translation>목록 (*.txt);;모든 파일 (*)</translation>
    </message>
    <message>
        <source>The first image with its prediction</source>
        <translation>첫 이미지와 그 예측</translation>
    </message>
    <message>
        <source>What the picture shows</source>
        <translation>그림에 표시할 내용</translation>
    </message>
    <message>
        <source>Show the prediction</source>
        <translation>예측 표시</translation>
    </message>
    <message>
        <source>Show the existing labels</source>
        <translation>기존 라벨 표시</translation>
    </message>
    <message>
        <source>The first image is being read…</source>
        <translation>첫 이미지를 읽는 중…</translation>
    </message>
    <message>
        <source>{name}: the prediction is being computed…</source>
        <translation>{name}: 예측을 계산하는 중…</translation>
    </message>
    <message>
        <source>{name}, without labels</source>
        <translation>{name}, 라벨 없음</translation>
    </message>
    <message>
        <source>{name} with its labels</source>
        <translation>{name}와(과) 그 라벨</translation>
    </message>
    <message>
        <source>{name} with the model&apos;s prediction, in these classes</source>
        <translation>{name}와(과) 이 클래스로 나타낸 모델의 예측</translation>
    </message>
    <message>
        <source>Which outline fits the image?</source>
        <translation>어느 윤곽이 이미지에 맞나요?</translation>
    </message>
    <message>
        <source>Mask orientation</source>
        <translation>마스크 방향</translation>
    </message>
    <message>
        <source>{image} has EXIF orientation {orientation}, and its mask fits both the stored and the displayed orientation.</source>
        <translation>{image}의 EXIF 방향은 {orientation}이며, 마스크가 저장된 방향과 표시 방향 모두에 맞습니다.</translation>
    </message>
    <message numerus="yes">
        <source>The same holds for at least {n} other.</source>
        <comment>The same holds for at least {n} others.</comment>
        <translation>
            <numerusform>다른 이미지 {n}개 이상도 마찬가지입니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>The answer applies to the folder and is stored in the project.</source>
        <translation>답은 폴더 전체에 적용되며 프로젝트에 저장됩니다.</translation>
    </message>
    <message>
        <source>Until then these images are not evaluated.</source>
        <translation>그때까지 이 이미지들은 평가하지 않습니다.</translation>
    </message>
    <message>
        <source>Use for this folder</source>
        <translation>이 폴더에 사용</translation>
    </message>
    <message>
        <source>by name</source>
        <extracomment>Images that are filtered at a time: a list of no more is arranged at once. Seconds after which a turn of filtering ends.</extracomment>
        <translation>이름순</translation>
    </message>
    <message>
        <source>worst IoU first</source>
        <translation>IoU 낮은 순</translation>
    </message>
    <message>
        <source>uncertain first</source>
        <translation>불확실한 순</translation>
    </message>
    <message>
        <source>by status</source>
        <translation>상태순</translation>
    </message>
    <message>
        <source>not found</source>
        <extracomment>Height of a row with its gap, and of the picture in it, in px. Side of the mark of a status, in px, and the room that it takes before the name. Thumbnails that are kept as they fill a row. Side of the sign of notes, px. Shape and colour of each status. The marks are on the dark foot of a thumbnail in both themes.</extracomment>
        <translation>찾을 수 없음</translation>
    </message>
    <message>
        <source>cannot be read</source>
        <translation>읽을 수 없음</translation>
    </message>
    <message>
        <source>Words of the path, or: new, predicted, corrected, reviewed, rejected, unreviewed, failed, missing,
truth, note, class:chair, note:glare, reason:blurred, iou&lt;50, iou:30..60, minutes&gt;5.
All of them must hold. A leading - means &apos;not&apos;, | divides alternatives: class:chair|sofa.</source>
        <translation>경로의 단어, 또는: new, predicted, corrected, reviewed, rejected, unreviewed, failed, missing,
truth, note, class:chair, note:glare, reason:blurred, iou&lt;50, iou:30..60, minutes&gt;5.
모두 만족해야 합니다. 앞의 -는 &apos;아님&apos;, |는 &apos;또는&apos;입니다: class:chair|sofa.</translation>
    </message>
    <message>
        <source>Filter: name, status…</source>
        <translation>필터: 이름, 상태…</translation>
    </message>
    <message>
        <source>Filter the images</source>
        <translation>이미지 필터</translation>
    </message>
    <message>
        <source>Filter by status, note, class or score</source>
        <translation>상태, 메모, 클래스, 점수로 거르기</translation>
    </message>
    <message>
        <source>No image matches the filter.</source>
        <translation>필터에 맞는 이미지가 없습니다.</translation>
    </message>
    <message>
        <source>Clear filter</source>
        <translation>필터 지우기</translation>
    </message>
    <message>
        <source>{shown} shown</source>
        <translation>{shown} 표시</translation>
    </message>
    <message>
        <source>Import labels from {name}</source>
        <translation>{name}에서 라벨 가져오기</translation>
    </message>
    <message>
        <source>Replace the mask of {image} by {name}</source>
        <translation>{image}의 마스크를 {name}(으)로 바꾸기</translation>
    </message>
    <message>
        <source>Import labels</source>
        <translation>라벨 가져오기</translation>
    </message>
    <message>
        <source>One image with its labels</source>
        <translation>이미지 하나와 그 라벨</translation>
    </message>
    <message>
        <source>Image of the preview</source>
        <translation>미리보기 이미지</translation>
    </message>
    <message>
        <source>Recognised, else the project&apos;s</source>
        <translation>인식된 것, 없으면 프로젝트의 것</translation>
    </message>
    <message>
        <source>What is left out…</source>
        <translation>제외되는 것…</translation>
    </message>
    <message>
        <source>Also replace what you painted or reviewed</source>
        <translation>칠했거나 검토한 것도 바꾸기</translation>
    </message>
    <message>
        <source>Source</source>
        <translation>원본</translation>
    </message>
    <message>
        <source>Masks are made in</source>
        <translation>마스크의 클래스</translation>
    </message>
    <message>
        <source>Class in the source</source>
        <translation>원본의 클래스</translation>
    </message>
    <message>
        <source>Because</source>
        <translation>이유</translation>
    </message>
    <message>
        <source>Add all</source>
        <translation>모두 추가</translation>
    </message>
    <message>
        <source>Void for all</source>
        <translation>모두 void</translation>
    </message>
    <message>
        <source>Pixels without a label</source>
        <translation>라벨 없는 픽셀</translation>
    </message>
    <message>
        <source>Import</source>
        <translation>가져오기</translation>
    </message>
    <message>
        <source>How regions become pixels: {rule}. Not kept: {lost}. Each image is one undo step.</source>
        <translation>영역을 픽셀로 바꾸는 규칙: {rule}. 유지되지 않음: {lost}. 이미지마다 한 단계로 실행 취소할 수 있습니다.</translation>
    </message>
    <message>
        <source>The labels are being read…</source>
        <translation>라벨을 읽는 중…</translation>
    </message>
    <message>
        <source>decide…</source>
        <translation>결정…</translation>
    </message>
    <message>
        <source>As their size and format say</source>
        <translation>크기와 형식에 따라</translation>
    </message>
    <message>
        <source>As stored in the image file</source>
        <translation>이미지 파일에 저장된 대로</translation>
    </message>
    <message numerus="yes">
        <source>{n} image fits its labels both ways: choose the one that matches in the picture.</source>
        <comment>At least {n} images fit their labels both ways: choose the one that matches in the picture.</comment>
        <translation>
            <numerusform>이미지 {n}개는 라벨이 두 방향에 모두 맞습니다. 그림에서 맞는 쪽을 고르세요.</numerusform>
        </translation>
    </message>
    <message>
        <source>Add as a new class</source>
        <translation>새 클래스로 추가</translation>
    </message>
    <message numerus="yes">
        <source>{n} class has no partner: decide what it becomes.</source>
        <comment>{n} classes have no partner: decide.</comment>
        <translation>
            <numerusform>클래스 {n}개에 대응이 없습니다. 무엇이 될지 결정하세요.</numerusform>
        </translation>
    </message>
    <message>
        <source>Decide the classes first</source>
        <translation>먼저 클래스를 정하세요</translation>
    </message>
    <message>
        <source>{name} (as the format says)</source>
        <translation>{name}(형식에 따라)</translation>
    </message>
    <message>
        <source>Open classes are shown as new ones.</source>
        <translation>결정하지 않은 클래스는 새 클래스로 표시됩니다.</translation>
    </message>
    <message>
        <source>The labels are shown as displayed.</source>
        <translation>라벨은 표시되는 방향대로 보입니다.</translation>
    </message>
    <message>
        <source>What is left out</source>
        <translation>제외되는 것</translation>
    </message>
    <message>
        <source>Everything else comes in.</source>
        <translation>나머지는 모두 가져옵니다.</translation>
    </message>
    <message>
        <source>Merge projects</source>
        <translation>프로젝트 병합</translation>
    </message>
    <message>
        <source>Their class</source>
        <translation>상대의 클래스</translation>
    </message>
    <message>
        <source>Is your class</source>
        <translation>내 클래스</translation>
    </message>
    <message>
        <source>Classes without a partner</source>
        <translation>대응이 없는 클래스</translation>
    </message>
    <message>
        <source>Conflicts and agreement</source>
        <translation>충돌과 일치</translation>
    </message>
    <message>
        <source>Conflicts</source>
        <translation>충돌</translation>
    </message>
    <message>
        <source>Agreement</source>
        <translation>일치</translation>
    </message>
    <message>
        <source>Save agreement…</source>
        <translation>일치 결과 저장…</translation>
    </message>
    <message>
        <source>Merge</source>
        <translation>병합</translation>
    </message>
    <message>
        <source>Yours / theirs</source>
        <translation>나 / 상대</translation>
    </message>
    <message>
        <source>Take</source>
        <translation>선택</translation>
    </message>
    <message>
        <source>Theirs</source>
        <translation>상대</translation>
    </message>
    <message>
        <source>Yours for all</source>
        <translation>모두 내 것</translation>
    </message>
    <message>
        <source>Theirs for all</source>
        <translation>모두 상대 것</translation>
    </message>
    <message>
        <source>IoU</source>
        <translation>IoU</translation>
    </message>
    <message>
        <source>Boundary IoU</source>
        <translation>경계 IoU</translation>
    </message>
    <message>
        <source>Yours, px</source>
        <translation>나, px</translation>
    </message>
    <message>
        <source>Theirs, px</source>
        <translation>상대, px</translation>
    </message>
    <message>
        <source>Equal pixels</source>
        <translation>같은 픽셀</translation>
    </message>
    <message>
        <source>Kappa</source>
        <translation>카파</translation>
    </message>
    <message>
        <source>Conflicts ({count})</source>
        <translation>충돌({count})</translation>
    </message>
    <message>
        <source>yours</source>
        <translation>나</translation>
    </message>
    <message>
        <source>theirs</source>
        <translation>상대</translation>
    </message>
    <message>
        <source>by part</source>
        <translation>부분별로</translation>
    </message>
    <message>
        <source>User who labels {name}</source>
        <translation>{name}의 라벨을 정할 사용자</translation>
    </message>
    <message>
        <source>Add it to your classes</source>
        <translation>내 클래스에 추가</translation>
    </message>
    <message>
        <source>The labels are being compared…</source>
        <translation>라벨을 비교하는 중…</translation>
    </message>
    <message>
        <source>Part {number} of {total}: {yours} / {theirs}, {pixels}.</source>
        <translation>{total}개 중 {number}번째 부분: {yours} / {theirs}, {pixels}.</translation>
    </message>
    <message>
        <source>Yours is taken.</source>
        <translation>내 라벨을 씁니다.</translation>
    </message>
    <message>
        <source>Theirs is taken.</source>
        <translation>상대의 라벨을 씁니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} image stays as it is until you decide.</source>
        <comment>{n} images stay as they are until you decide.</comment>
        <translation>
            <numerusform>이미지 {n}개는 결정할 때까지 그대로 둡니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>Only pixels that both of you set differently are coloured. Click the picture to take.</source>
        <translation>두 사용자가 다르게 정한 픽셀만 색칠됩니다. 선택하려면 그림을 클릭하세요.</translation>
    </message>
    <message>
        <source>Only pixels that both of you set differently are coloured. Click a part to take it, or beside for all.</source>
        <extracomment>Heights of rows with and without a box, px. Conflicts that are shown without scrolling, so that the pictures below have room. Width of the boxes, and the largest of the images&apos; names, px. Value of the choice in a box that says: part by part.</extracomment>
        <translation>두 사람이 다르게 지정한 픽셀에 색이 있습니다. 부분을 클릭하면 그 부분을, 그 옆을 클릭하면 모두 가져옵니다.</translation>
    </message>
    <message>
        <source>Arrow keys choose a part, Enter takes it from this side.</source>
        <translation>화살표 키로 부분을 고르고 Enter로 이쪽 것을 씁니다.</translation>
    </message>
    <message>
        <source>These images are not merged.</source>
        <translation>이 이미지들은 병합되지 않습니다.</translation>
    </message>
    <message>
        <source>Save agreement</source>
        <translation>일치 결과 저장</translation>
    </message>
    <message>
        <source>JSON (*.json)</source>
        <translation>JSON (*.json)</translation>
    </message>
    <message>
        <source>{name} was saved.</source>
        <translation>{name}을(를) 저장했습니다.</translation>
    </message>
    <message>
        <source>Labels (*.json *.xml *.zip *.parquet *.npz *.npy);;All files (*)</source>
        <translation>라벨 (*.json *.xml *.zip *.parquet *.npz *.npy);;모든 파일 (*)</translation>
    </message>
    <message>
        <source>New project in {name}</source>
        <translation>{name}의 새 프로젝트</translation>
    </message>
    <message>
        <source>New project</source>
        <translation>새 프로젝트</translation>
    </message>
    <message>
        <source>crack, no crack</source>
        <translation>균열, 균열 없음</translation>
    </message>
    <message>
        <source>Names of the classes, with commas between them</source>
        <translation>클래스 이름(쉼표로 구분)</translation>
    </message>
    <message>
        <source>Start from</source>
        <translation>시작점</translation>
    </message>
    <message>
        <source>Nothing is written before you create the project.</source>
        <translation>프로젝트를 만들기 전에는 아무것도 쓰지 않습니다.</translation>
    </message>
    <message>
        <source>Create project</source>
        <translation>프로젝트 만들기</translation>
    </message>
    <message>
        <source>Type the names…</source>
        <translation>이름 입력…</translation>
    </message>
    <message>
        <source>Found: {names}</source>
        <translation>찾은 것: {names}</translation>
    </message>
    <message>
        <source>No labels</source>
        <translation>라벨 없음</translation>
    </message>
    <message>
        <source>A file of labels…</source>
        <translation>라벨 파일…</translation>
    </message>
    <message>
        <source>A folder of labels…</source>
        <translation>라벨 폴더…</translation>
    </message>
    <message>
        <source>None: images begin empty</source>
        <translation>없음: 빈 이미지로 시작</translation>
    </message>
    <message>
        <source>Type the names of the classes, with commas between them.</source>
        <translation>클래스 이름을 쉼표로 구분해 입력하세요.</translation>
    </message>
    <message>
        <source>The ground truth is being read…</source>
        <translation>정답을 읽는 중…</translation>
    </message>
    <message>
        <source>No mask in {name} matches an image by name.</source>
        <translation>{name}에 이름이 이미지와 일치하는 마스크가 없습니다.</translation>
    </message>
    <message>
        <source>Labels to start from</source>
        <translation>시작할 때 쓸 라벨</translation>
    </message>
    <message>
        <source>Notes</source>
        <translation>메모</translation>
    </message>
    <message>
        <source>This image only</source>
        <translation>이 이미지만</translation>
    </message>
    <message>
        <source>Place</source>
        <translation>위치</translation>
    </message>
    <message>
        <source>Written</source>
        <translation>작성 시각</translation>
    </message>
    <message>
        <source>Open the place</source>
        <translation>위치 열기</translation>
    </message>
    <message>
        <source>Change…</source>
        <translation>변경…</translation>
    </message>
    <message numerus="yes">
        <source>{n} note</source>
        <comment>{n} notes</comment>
        <translation>
            <numerusform>메모 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>No notes yet. Ctrl+N writes one.</source>
        <translation>아직 메모가 없습니다. Ctrl+N으로 작성합니다.</translation>
    </message>
    <message>
        <source>Change the note</source>
        <translation>메모 변경</translation>
    </message>
    <message>
        <source>An empty text deletes it.</source>
        <translation>내용을 비우면 메모가 삭제됩니다.</translation>
    </message>
    <message>
        <source>Change</source>
        <translation>변경</translation>
    </message>
    <message>
        <source>cannot be shown</source>
        <extracomment>Opacity of the mask over the thumbnail of an image that is done.</extracomment>
        <translation>표시할 수 없음</translation>
    </message>
    <message>
        <source>not in the {total} shown</source>
        <translation>표시된 {total}개에 없음</translation>
    </message>
    <message>
        <source>{place} of {total}</source>
        <translation>{place}/{total}</translation>
    </message>
    <message>
        <source>Progress by day</source>
        <translation>일별 진행 상황</translation>
    </message>
    <message>
        <source>Active time: pauses of more than 60 seconds do not count. Actions: steps, undo and redo. Days are local.</source>
        <translation>실제 작업 시간: 60초가 넘는 멈춤은 세지 않습니다. 동작: 단계, 실행 취소, 다시 실행. 날짜는 현지 기준입니다.</translation>
    </message>
    <message>
        <source>Day</source>
        <translation>날짜</translation>
    </message>
    <message>
        <source>Rejected</source>
        <translation>반려</translation>
    </message>
    <message>
        <source>Actions</source>
        <translation>동작</translation>
    </message>
    <message>
        <source>Active time</source>
        <translation>작업 시간</translation>
    </message>
    <message>
        <source>Save images as CSV…</source>
        <translation>이미지를 CSV로 저장…</translation>
    </message>
    <message>
        <source>Save days as CSV…</source>
        <translation>날짜별 내용을 CSV로 저장…</translation>
    </message>
    <message>
        <source>Reject the image</source>
        <extracomment>A note about a smaller place is shown with so much around it, in parts of the place, and px at least.</extracomment>
        <translation>이미지 반려</translation>
    </message>
    <message>
        <source>Why is {name} rejected? The reason may be left empty.</source>
        <translation>{name}을(를) 반려하는 이유는 무엇인가요? 비워 두어도 됩니다.</translation>
    </message>
    <message>
        <source>Reject</source>
        <translation>반려</translation>
    </message>
    <message>
        <source>Write a note</source>
        <translation>메모 작성</translation>
    </message>
    <message>
        <source>Place: {place}.</source>
        <translation>위치: {place}.</translation>
    </message>
    <message>
        <source>Write</source>
        <translation>작성</translation>
    </message>
    <message>
        <source>Save as CSV</source>
        <translation>CSV로 저장</translation>
    </message>
    <message>
        <source>CSV (*.csv)</source>
        <translation>CSV (*.csv)</translation>
    </message>
    <message>
        <source>Page (*.html)</source>
        <translation>페이지 (*.html)</translation>
    </message>
    <message>
        <source>Open report</source>
        <translation>보고서 열기</translation>
    </message>
    <message>
        <source>{images}, {labelled} with labels.</source>
        <translation>{images}, 라벨 있음 {labelled}개.</translation>
    </message>
    <message numerus="yes">
        <source>{n} image cannot be read.</source>
        <comment>{n} images cannot be read.</comment>
        <translation>
            <numerusform>이미지 {n}개를 읽을 수 없습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>{name} is saved</source>
        <translation>{name} 저장됨</translation>
    </message>
    <message>
        <source>Read the file again</source>
        <translation>파일 다시 읽기</translation>
    </message>
    <message>
        <source>Drop a folder here, or choose one. Atrous predicts, you correct; every stroke is saved as you paint.</source>
        <extracomment>A page narrower than this has no room for two buttons beside each other, in px.</extracomment>
        <translation>폴더를 여기에 끌어 놓거나 고르세요. Atrous가 예측하고 사용자가 수정합니다. 획은 칠하는 즉시 저장됩니다.</translation>
    </message>
    <message>
        <source>Open a folder of images</source>
        <translation>이미지 폴더 열기</translation>
    </message>
    <message>
        <source>Open the sample project</source>
        <translation>샘플 프로젝트 열기</translation>
    </message>
    <message>
        <source>Two-minute tour</source>
        <translation>2분 둘러보기</translation>
    </message>
    <message>
        <source>Find an error of the sample project, correct it, export</source>
        <translation>샘플 프로젝트의 오류를 찾아 고치고 내보내기</translation>
    </message>
    <message>
        <source>Get models…</source>
        <translation>모델 받기…</translation>
    </message>
    <message>
        <source>Published networks that Atrous runs, with size and licence</source>
        <translation>Atrous가 실행하는 공개된 네트워크와 크기, 라이선스</translation>
    </message>
    <message>
        <source>RECENT</source>
        <translation>최근 항목</translation>
    </message>
    <message>
        <source>A part of Atrous is broken</source>
        <translation>Atrous의 일부가 손상되었습니다</translation>
    </message>
    <message>
        <source>Copy details</source>
        <translation>세부 정보 복사</translation>
    </message>
    <message>
        <source>Opening {name}…</source>
        <translation>{name} 여는 중…</translation>
    </message>
    <message>
        <source>{image} comes first</source>
        <translation>{image}부터 시작합니다</translation>
    </message>
    <message>
        <source>No images here</source>
        <translation>여기에는 이미지가 없습니다</translation>
    </message>
    <message>
        <source>{folder} and its subfolders contain no JPEG, PNG, TIFF, BMP or WebP file. Choose another folder, or add images to this one and press F5.</source>
        <translation>{folder}와(과) 하위 폴더에 JPEG, PNG, TIFF, BMP, WebP 파일이 없습니다. 다른 폴더를 고르거나, 여기에 이미지를 넣고 F5를 누르세요.</translation>
    </message>
    <message>
        <source>Import summary</source>
        <extracomment>Height of a row and of a header in px, and rows that a table shows without scrolling.</extracomment>
        <translation>가져오기 요약</translation>
    </message>
    <message>
        <source>What came in</source>
        <translation>가져온 것</translation>
    </message>
    <message>
        <source>What</source>
        <translation>항목</translation>
    </message>
    <message>
        <source>How much</source>
        <translation>양</translation>
    </message>
    <message>
        <source>Not taken as it is</source>
        <translation>그대로 가져오지 않은 것</translation>
    </message>
    <message>
        <source>File or part</source>
        <translation>파일 또는 부분</translation>
    </message>
    <message>
        <source>Why</source>
        <translation>이유</translation>
    </message>
    <message>
        <source>Open a video</source>
        <extracomment>Lines that the two texts may take, kept free from the start so that no answer makes the dialog scroll.</extracomment>
        <translation>동영상 열기</translation>
    </message>
    <message>
        <source>Frames of {name}</source>
        <translation>{name}의 프레임</translation>
    </message>
    <message>
        <source>Every n-th frame; n is</source>
        <translation>n번째 프레임마다, n은</translation>
    </message>
    <message>
        <source>One frame every so many seconds:</source>
        <translation>몇 초마다 프레임 하나:</translation>
    </message>
    <message>
        <source>PNG: the decoded pixels</source>
        <translation>PNG: 디코딩한 픽셀 그대로</translation>
    </message>
    <message>
        <source>JPEG: about a tenth of the disk</source>
        <translation>JPEG: 디스크 공간의 10분의 1 정도</translation>
    </message>
    <message>
        <source>Format of the frames</source>
        <translation>프레임 형식</translation>
    </message>
    <message>
        <source>Read frames and open</source>
        <translation>프레임을 읽고 열기</translation>
    </message>
    <message>
        <source>Looking at the video…</source>
        <translation>동영상을 살펴보는 중…</translation>
    </message>
    <message>
        <source>{width} x {height} px, {frames}, {seconds} s</source>
        <translation>{width} x {height} px, {frames}, {seconds} s</translation>
    </message>
    <message>
        <source>an unknown number of frames</source>
        <translation>프레임 수를 알 수 없음</translation>
    </message>
    <message>
        <source>{frames}, about {need} of {free} that are free, in the folder {folder} beside the video.</source>
        <translation>{frames}, 남은 {free} 중 약 {need}. 동영상 옆의 {folder} 폴더에 저장합니다.</translation>
    </message>
    <message numerus="yes">
        <source>About {n} frame</source>
        <comment>About {n} frames</comment>
        <translation>
            <numerusform>프레임 약 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>Some frames</source>
        <translation>일부 프레임</translation>
    </message>
    <message>
        <source>{there} are there already.</source>
        <translation>{there}은(는) 이미 있습니다.</translation>
    </message>
    <message>
        <source>The disk has too little room.</source>
        <translation>디스크 공간이 부족합니다.</translation>
    </message>
    <message>
        <source>{gigabytes} GB</source>
        <translation>{gigabytes} GB</translation>
    </message>
    <message>
        <source>{megabytes} MB</source>
        <translation>{megabytes} MB</translation>
    </message>
    <message>
        <source>IoU before and after the CRF</source>
        <extracomment>Height of the buttons that change what the picture shows, in px. A difference that two decimals would show as none.</extracomment>
        <translation>CRF 전후의 IoU</translation>
    </message>
    <message>
        <source>{name} {before} to {after}</source>
        <translation>{name} {before}에서 {after}(으)로</translation>
    </message>
    <message>
        <source>mean {before} to {after}</source>
        <translation>평균 {before}에서 {after}(으)로</translation>
    </message>
    <message>
        <source>fixes {won} px, breaks {lost}</source>
        <translation>{won} px 고침, {lost} px 망침</translation>
    </message>
    <message>
        <source>Appearance weight</source>
        <extracomment>Field of CRFParams, text, ends, decimals, logarithmic, tip.</extracomment>
        <translation>외관 가중치</translation>
    </message>
    <message>
        <source>How strongly pixels of similar colour attract each other (w1)</source>
        <translation>색이 비슷한 픽셀끼리 끌어당기는 세기(w1)</translation>
    </message>
    <message>
        <source>Appearance range</source>
        <translation>외관 범위</translation>
    </message>
    <message>
        <source>Range of the appearance kernel, in px (sigma alpha)</source>
        <translation>외관 커널의 범위, px(시그마 알파)</translation>
    </message>
    <message>
        <source>Colour tolerance</source>
        <translation>색 허용 차</translation>
    </message>
    <message>
        <source>Colour difference that still counts as similar, of 255 (sigma beta)</source>
        <translation>비슷하다고 볼 색 차이, 255 기준(시그마 베타)</translation>
    </message>
    <message>
        <source>Smoothness weight</source>
        <translation>매끄러움 가중치</translation>
    </message>
    <message>
        <source>How strongly neighbours attract each other, whatever their colour (w2)</source>
        <translation>색과 관계없이 이웃끼리 끌어당기는 세기(w2)</translation>
    </message>
    <message>
        <source>Smoothness range</source>
        <translation>매끄러움 범위</translation>
    </message>
    <message>
        <source>Range of the smoothness kernel, in px (sigma gamma)</source>
        <translation>매끄러움 커널의 범위, px(시그마 감마)</translation>
    </message>
    <message>
        <source>Iterations</source>
        <translation>반복 횟수</translation>
    </message>
    <message>
        <source>Mean field iterations; 10 is usual</source>
        <translation>평균장 반복 횟수. 보통 10</translation>
    </message>
    <message>
        <source>Temperature</source>
        <translation>온도</translation>
    </message>
    <message>
        <source>Above 1 softens an overconfident network</source>
        <translation>1보다 크면 지나치게 확신하는 네트워크를 완화합니다</translation>
    </message>
    <message>
        <source>Symmetric normalisation (pydensecrf)</source>
        <extracomment>The sliders that matter most; the others are below &apos;More&apos;.</extracomment>
        <translation>대칭 정규화(pydensecrf)</translation>
    </message>
    <message>
        <source>Normalised after (authors&apos; library)</source>
        <translation>뒤에서 정규화(저자의 라이브러리)</translation>
    </message>
    <message>
        <source>Not normalised</source>
        <translation>정규화 안 함</translation>
    </message>
    <message>
        <source>off</source>
        <translation>꺼짐</translation>
    </message>
    <message>
        <source>refining…</source>
        <translation>정제 중…</translation>
    </message>
    <message>
        <source>draft</source>
        <translation>초안</translation>
    </message>
    <message>
        <source>exact</source>
        <translation>정확한 계산</translation>
    </message>
    <message>
        <source>No class scores for this image. Scores are kept only for recent images and are lost on restart. Run the model again, or refine the mask itself.</source>
        <translation>이 이미지의 클래스 점수가 없습니다. 점수는 최근 이미지에만 보관되고 다시 시작하면 없어집니다. 모델을 다시 실행하거나 마스크 자체를 정제하세요.</translation>
    </message>
    <message>
        <source>Certainty</source>
        <translation>확실도</translation>
    </message>
    <message>
        <source>How certain the labels of the mask are taken to be</source>
        <translation>마스크의 라벨을 얼마나 확실하다고 볼지</translation>
    </message>
    <message>
        <source>Open a search report…</source>
        <translation>탐색 보고서 열기…</translation>
    </message>
    <message>
        <source>Would change {changed} px ({value:.1f} %).</source>
        <translation>{changed} px({value:.1f} %)가 바뀝니다.</translation>
    </message>
    <message>
        <source>mIoU {text}</source>
        <translation>mIoU {text}</translation>
    </message>
    <message>
        <source>CRF parameters</source>
        <translation>CRF 매개변수</translation>
    </message>
    <message>
        <source>Preview</source>
        <translation>미리보기</translation>
    </message>
    <message>
        <source>Run the model</source>
        <translation>모델 실행</translation>
    </message>
    <message>
        <source>Refine the mask</source>
        <translation>마스크 정제</translation>
    </message>
    <message>
        <source>&lt;b&gt;Before&lt;/b&gt;&lt;br&gt;Hold to see the current mask; the blink key does the same</source>
        <translation>&lt;b&gt;이전&lt;/b&gt;&lt;br&gt;누르고 있으면 현재 마스크가 보입니다. 번갈아 보기 키도 같습니다</translation>
    </message>
    <message>
        <source>Split</source>
        <translation>나누기</translation>
    </message>
    <message>
        <source>Changes</source>
        <translation>변화</translation>
    </message>
    <message>
        <source>More</source>
        <translation>더 보기</translation>
    </message>
    <message>
        <source>Smoothness, iterations, temperature, input, region and normalisation</source>
        <translation>매끄러움, 반복 횟수, 온도, 입력, 영역, 정규화</translation>
    </message>
    <message>
        <source>Normalisation</source>
        <translation>정규화</translation>
    </message>
    <message>
        <source>How the kernels are normalised; published weights belong to one or the other</source>
        <translation>커널의 정규화 방법. 공개된 가중치는 둘 중 하나에 속합니다</translation>
    </message>
    <message>
        <source>Input</source>
        <translation>입력</translation>
    </message>
    <message>
        <source>Network scores</source>
        <translation>네트워크 점수</translation>
    </message>
    <message>
        <source>Mask itself</source>
        <translation>마스크 자체</translation>
    </message>
    <message>
        <source>Input: the class scores of the network, or the labels of the current mask</source>
        <translation>입력: 네트워크의 클래스 점수, 또는 현재 마스크의 라벨</translation>
    </message>
    <message>
        <source>Region</source>
        <translation>영역</translation>
    </message>
    <message>
        <source>Whole image</source>
        <translation>이미지 전체</translation>
    </message>
    <message>
        <source>Region that may change: the whole image, or the trimap band of the chosen width</source>
        <translation>바뀔 수 있는 영역: 이미지 전체, 또는 선택한 너비의 트라이맵 밴드</translation>
    </message>
    <message>
        <source>In outline…</source>
        <translation>윤곽 안에…</translation>
    </message>
    <message>
        <source>To folder…</source>
        <translation>폴더에…</translation>
    </message>
    <message>
        <source>Open CRF parameters</source>
        <translation>CRF 매개변수 열기</translation>
    </message>
    <message>
        <source>Search reports (*.json)</source>
        <translation>탐색 보고서 (*.json)</translation>
    </message>
    <message>
        <source>What do you want to do?</source>
        <extracomment>Height of a keycap, room beside its text, and between keycaps, in px.</extracomment>
        <translation>무엇을 하시겠습니까?</translation>
    </message>
    <message>
        <source>Find a command</source>
        <translation>명령 찾기</translation>
    </message>
    <message>
        <source>Commands</source>
        <translation>명령</translation>
    </message>
    <message>
        <source>Open recent</source>
        <extracomment>A window that needs more than this share of the screen&apos;s width or height is maximised. Widths of the left and right docks where the window has room for them, and in a narrower one: the picture keeps its 55 %. Of layouts with three rows and with two: one is no use on a screen of the other kind.</extracomment>
        <translation>최근 항목 열기</translation>
    </message>
    <message>
        <source>Menu</source>
        <translation>메뉴</translation>
    </message>
    <message>
        <source>Warning</source>
        <translation>경고</translation>
    </message>
    <message>
        <source>Error</source>
        <translation>오류</translation>
    </message>
    <message>
        <source>Information</source>
        <translation>알림</translation>
    </message>
    <message>
        <source>Messages</source>
        <translation>메시지</translation>
    </message>
    <message>
        <source>{messages}, newest first.</source>
        <translation>{messages}, 최신순.</translation>
    </message>
    <message numerus="yes">
        <source>{n} message</source>
        <comment>{n} messages</comment>
        <translation>
            <numerusform>메시지 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>No messages yet.</source>
        <translation>아직 메시지가 없습니다.</translation>
    </message>
    <message>
        <source>Details</source>
        <translation>세부 정보</translation>
    </message>
    <message>
        <source>Read-only. {reason}</source>
        <translation>읽기 전용. {reason}</translation>
    </message>
    <message>
        <source>Confirm mask</source>
        <translation>마스크 확인</translation>
    </message>
    <message>
        <source>CRF preview is computing…</source>
        <extracomment>Said in the picture, because the CRF panel may lie behind another one.</extracomment>
        <translation>CRF 미리보기 계산 중…</translation>
    </message>
    <message>
        <source>no CRF preview: run the model first</source>
        <translation>CRF 미리보기 없음: 먼저 모델을 실행하세요</translation>
    </message>
    <message>
        <source>The image file or its mask file has changed. Check whether the mask still fits.</source>
        <translation>이미지 파일이나 마스크 파일이 바뀌었습니다. 마스크가 아직 맞는지 확인하세요.</translation>
    </message>
    <message>
        <source>A CRF result is available.</source>
        <translation>CRF 결과가 있습니다.</translation>
    </message>
    <message>
        <source>A newer prediction is available.</source>
        <translation>더 새로운 예측이 있습니다.</translation>
    </message>
    <message>
        <source>{what} Applying it changes {changes} px; your own pixels are kept.</source>
        <translation>{what} 적용하면 {changes} px가 바뀝니다. 사용자의 픽셀은 유지됩니다.</translation>
    </message>
    <message>
        <source>{what} Applying it changes {changes} px; your own pixels are kept ({conflicts} px differ).</source>
        <translation>{what} 적용하면 {changes} px가 바뀝니다. 사용자의 픽셀은 유지됩니다({conflicts} px 다름).</translation>
    </message>
    <message>
        <source>Annotate</source>
        <extracomment>Height of a segment, and its width with and without its word, in px. Panels that say nothing about the pages of the Evaluation panel. In a window narrower than this (px) Compare and the pages of the Evaluation panel need the room of the list of images; keys and pages lead to images, too.</extracomment>
        <translation>라벨링</translation>
    </message>
    <message>
        <source>Compare</source>
        <translation>비교</translation>
    </message>
    <message>
        <source>Errors</source>
        <translation>오류</translation>
    </message>
    <message>
        <source>The image, to correct its mask</source>
        <translation>이미지와 마스크 수정</translation>
    </message>
    <message>
        <source>Two to four models side by side on the image</source>
        <translation>한 이미지에서 모델 두 개에서 네 개를 나란히</translation>
    </message>
    <message>
        <source>The Evaluation panel: where the wrong pixels of the folder are</source>
        <translation>평가 패널: 폴더에서 잘못된 픽셀이 있는 곳</translation>
    </message>
    <message>
        <source>Rooms of the window</source>
        <extracomment>The command that enters a room and leaves it again.</extracomment>
        <translation>창의 작업 공간</translation>
    </message>
    <message>
        <source>Choose a folder</source>
        <translation>폴더 선택</translation>
    </message>
    <message>
        <source>Settings</source>
        <extracomment>Lists of choices that only the running window knows, by the names in the schema. Width of the column of editors, the same in every group; gaps between groups, settings, and a setting and its help, in px.</extracomment>
        <translation>설정</translation>
    </message>
    <message>
        <source>Restore defaults</source>
        <translation>기본값 복원</translation>
    </message>
    <message>
        <source>On the image</source>
        <translation>이미지 위에서</translation>
    </message>
    <message>
        <source>{keys} (hold)</source>
        <translation>{keys}(누르고 있기)</translation>
    </message>
    <message>
        <source>Class with this key (see the Classes panel)</source>
        <translation>이 키의 클래스(클래스 패널 참고)</translation>
    </message>
    <message>
        <source>Change keyboard shortcuts</source>
        <extracomment>Height of a row, px.</extracomment>
        <translation>키보드 단축키 변경</translation>
    </message>
    <message>
        <source>Preset</source>
        <translation>프리셋</translation>
    </message>
    <message>
        <source>Find a command or a key</source>
        <translation>명령이나 키 찾기</translation>
    </message>
    <message>
        <source>Command</source>
        <translation>명령</translation>
    </message>
    <message>
        <source>Keys</source>
        <translation>키</translation>
    </message>
    <message>
        <source>Set</source>
        <translation>설정</translation>
    </message>
    <message>
        <source>Default</source>
        <translation>기본값</translation>
    </message>
    <message>
        <source>New key</source>
        <translation>새 키</translation>
    </message>
    <message>
        <source>Select a command, press its new key, then Set.</source>
        <translation>명령을 선택하고 새 키를 누른 뒤 설정을 누르세요.</translation>
    </message>
    <message>
        <source>Use these keys</source>
        <translation>이 키 사용</translation>
    </message>
    <message>
        <source>Set.</source>
        <translation>설정했습니다.</translation>
    </message>
    <message>
        <source>Default restored.</source>
        <translation>기본값을 복원했습니다.</translation>
    </message>
    <message>
        <source>All keys now match {preset}.</source>
        <translation>모든 키가 이제 {preset}와(과) 같습니다.</translation>
    </message>
    <message>
        <source>That is not a key: {error}.</source>
        <translation>키가 아닙니다: {error}.</translation>
    </message>
    <message>
        <source>saved</source>
        <extracomment>Of the line, and of the bar around it, in px. Width of the progress bar, half of it in a line below the second width, px. By the values of SaveState.</extracomment>
        <translation>저장됨</translation>
    </message>
    <message>
        <source>All steps and mask files are saved.</source>
        <translation>모든 단계와 마스크 파일이 저장되었습니다.</translation>
    </message>
    <message>
        <source>All steps are saved; the mask file is written after a short delay.</source>
        <translation>모든 단계가 저장되었습니다. 마스크 파일은 잠시 뒤에 씁니다.</translation>
    </message>
    <message>
        <source>saving…</source>
        <translation>저장 중…</translation>
    </message>
    <message>
        <source>A mask file is being written.</source>
        <translation>마스크 파일을 쓰는 중입니다.</translation>
    </message>
    <message>
        <source>not saved</source>
        <translation>저장 안 됨</translation>
    </message>
    <message>
        <source>The disk cannot be written. Your work is in memory and writing is retried.</source>
        <translation>디스크에 쓸 수 없습니다. 작업은 메모리에 있으며 쓰기를 다시 시도합니다.</translation>
    </message>
    <message>
        <source>About this image file</source>
        <translation>이 이미지 파일 정보</translation>
    </message>
    <message>
        <source>{title} {done} of {steps}</source>
        <translation>{title} {done}/{steps}</translation>
    </message>
    <message>
        <source>stopping…</source>
        <translation>멈추는 중…</translation>
    </message>
    <message>
        <source>{clock} left</source>
        <translation>{clock} 남음</translation>
    </message>
    <message>
        <source>Close the message</source>
        <translation>메시지 닫기</translation>
    </message>
    <message>
        <source>{name}, key {key}</source>
        <extracomment>Usual and in a narrow window. Of the source of copies, at most: names of models are long.</extracomment>
        <translation>{name}, {key} 키</translation>
    </message>
    <message>
        <source>Selected class: {name}</source>
        <translation>선택한 클래스: {name}</translation>
    </message>
    <message>
        <source>No class selected</source>
        <translation>선택한 클래스 없음</translation>
    </message>
    <message>
        <source>{text}. Click or press / to find another class</source>
        <translation>{text}. 다른 클래스를 찾으려면 클릭하거나 /를 누르세요</translation>
    </message>
    <message>
        <source>No class</source>
        <translation>클래스 없음</translation>
    </message>
    <message>
        <source>Scr</source>
        <translation>스크</translation>
    </message>
    <message>
        <source>Lasso snaps</source>
        <translation>올가미 스냅</translation>
    </message>
    <message>
        <source>Only over</source>
        <translation>덮기 제한</translation>
    </message>
    <message>
        <source>Over</source>
        <translation>덮기</translation>
    </message>
    <message>
        <source>Over {classes}</source>
        <translation>{classes} 위에만</translation>
    </message>
    <message>
        <source>Cls</source>
        <translation>클래스</translation>
    </message>
    <message>
        <source>Inside {width} px</source>
        <translation>{width} px 안</translation>
    </message>
    <message>
        <source>In</source>
        <translation>안</translation>
    </message>
    <message>
        <source>Outside {width} px</source>
        <translation>{width} px 밖</translation>
    </message>
    <message>
        <source>Out</source>
        <translation>밖</translation>
    </message>
    <message>
        <source>Adjusted</source>
        <translation>조정됨</translation>
    </message>
    <message>
        <source>Adj</source>
        <translation>조정</translation>
    </message>
    <message>
        <source>Refine outline</source>
        <translation>윤곽 정제</translation>
    </message>
    <message>
        <source>Amb</source>
        <translation>모호</translation>
    </message>
    <message>
        <source>All menus</source>
        <extracomment>Room that the name of the image keeps before anything else gives way. A tool without and with a word below its icon: width (more for a long word) and height in px; the glyph; room beside a word. Widths of the bar from which tools, and the switch of rooms, have words, in px: those of windows of 1400 and 1000 px.</extracomment>
        <translation>모든 메뉴</translation>
    </message>
    <message>
        <source>All menus (F10)</source>
        <translation>모든 메뉴(F10)</translation>
    </message>
    <message>
        <source>Where the tool &apos;Copy from&apos; takes labels   Alt+1 to Alt+4, Alt+wheel</source>
        <translation>&apos;복사 원본&apos; 도구가 라벨을 가져올 곳   Alt+1에서 Alt+4, Alt+휠</translation>
    </message>
    <message>
        <source>Size 24</source>
        <translation>크기 24</translation>
    </message>
    <message>
        <source>Size 1000</source>
        <translation>크기 1000</translation>
    </message>
    <message>
        <source>Brush size in image px   [ and ], Shift+wheel</source>
        <translation>브러시 크기(이미지 px)   [ 와 ], Shift+휠</translation>
    </message>
    <message>
        <source>{text}: on. Click to turn off</source>
        <translation>{text}: 켜짐. 끄려면 클릭하세요</translation>
    </message>
    <message>
        <source>{tip}&lt;br&gt;Click to turn off</source>
        <translation>{tip}&lt;br&gt;끄려면 클릭하세요</translation>
    </message>
    <message>
        <source>Size {diameter}</source>
        <translation>크기 {diameter}</translation>
    </message>
    <message>
        <source>Labels (*.json *.xml *.zip *.txt *.parquet *.npz *.npy);;All files (*)</source>
        <translation>라벨 (*.json *.xml *.zip *.txt *.parquet *.npz *.npy);;모든 파일 (*)</translation>
    </message>
    <message>
        <source>Masks and labels (*.png *.tif *.tiff *.bmp *.pgm *.json *.xml *.txt *.npz *.npy);;All files (*)</source>
        <translation>마스크와 라벨 (*.png *.tif *.tiff *.bmp *.pgm *.json *.xml *.txt *.npz *.npy);;모든 파일 (*)</translation>
    </message>
    <message>
        <source>Videos ({endings});;All files (*)</source>
        <translation>동영상 ({endings});;모든 파일 (*)</translation>
    </message>
    <message>
        <source>The sample project is not installed</source>
        <translation>샘플 프로젝트가 설치되어 있지 않습니다</translation>
    </message>
    <message>
        <source>The sample project cannot be copied</source>
        <translation>샘플 프로젝트를 복사할 수 없습니다</translation>
    </message>
    <message>
        <source>Open a model</source>
        <translation>모델 열기</translation>
    </message>
    <message>
        <source>Click networks (*.onnx);;All files (*)</source>
        <translation>클릭 네트워크 (*.onnx);;모든 파일 (*)</translation>
    </message>
    <message>
        <source>Open a click network</source>
        <translation>클릭 네트워크 열기</translation>
    </message>
    <message>
        <source>Folder of labels to import</source>
        <translation>가져올 라벨 폴더</translation>
    </message>
    <message>
        <source>File of labels to import</source>
        <translation>가져올 라벨 파일</translation>
    </message>
    <message>
        <source>Folder of the other user&apos;s project</source>
        <translation>다른 사용자의 프로젝트 폴더</translation>
    </message>
    <message>
        <source>Mask to start from</source>
        <translation>시작할 마스크</translation>
    </message>
    <message>
        <source>Start {name} over?</source>
        <translation>{name}을(를) 처음부터 다시 할까요?</translation>
    </message>
    <message>
        <source>Its labels, undo steps and status are deleted, as if you had never opened it. This cannot be undone. The mask file is kept in the project&apos;s &apos;masks&apos; folder.</source>
        <translation>라벨, 실행 취소 단계, 상태가 삭제되어 한 번도 열지 않은 것처럼 됩니다. 이 동작은 되돌릴 수 없습니다. 마스크 파일은 프로젝트의 &apos;masks&apos; 폴더에 보관됩니다.</translation>
    </message>
    <message>
        <source>Start over</source>
        <translation>처음부터 다시</translation>
    </message>
    <message>
        <source>These files were skipped; all other images are evaluated.</source>
        <translation>이 파일들은 건너뛰었으며, 다른 모든 이미지는 평가합니다.</translation>
    </message>
    <message>
        <source>All ground truth files could be used.</source>
        <translation>모든 정답 파일을 사용할 수 있었습니다.</translation>
    </message>
    <message>
        <source>Ground truth files</source>
        <translation>정답 파일</translation>
    </message>
    <message>
        <source>&lt;b&gt;Atrous {version}&lt;/b&gt;&lt;br&gt;Runs DeepLabv3+ on folders of images, evaluates the masks and lets you correct them.&lt;br&gt;&lt;br&gt;Apache License 2.0. Interface font: Inter, SIL Open Font License. Made with Qt and PySide6 (LGPL).</source>
        <translation>&lt;b&gt;Atrous {version}&lt;/b&gt;&lt;br&gt;이미지 폴더에 DeepLabv3+를 실행하고, 마스크를 평가하고, 수정할 수 있게 합니다.&lt;br&gt;&lt;br&gt;Apache License 2.0. 인터페이스 글꼴: Inter, SIL Open Font License. Qt와 PySide6(LGPL)로 만들었습니다.</translation>
    </message>
    <message>
        <source>Report copied to the clipboard</source>
        <translation>보고서를 클립보드에 복사했습니다</translation>
    </message>
    <message>
        <source>Paste it into an issue or an email.</source>
        <translation>이슈나 이메일에 붙여넣으세요.</translation>
    </message>
    <message>
        <source>Your work is saved.</source>
        <translation>작업이 저장되었습니다.</translation>
    </message>
    <message>
        <source>Your work is still in memory, but could not be saved: {error}</source>
        <translation>작업은 아직 메모리에 있지만 저장할 수 없었습니다: {error}</translation>
    </message>
    <message>
        <source>{short}

{saved} You can continue; please report this with the details below.</source>
        <translation>{short}

{saved} 계속 작업할 수 있습니다. 아래의 자세한 내용과 함께 이 문제를 알려 주세요.</translation>
    </message>
    <message>
        <source>An unexpected error occurred</source>
        <translation>예상하지 못한 오류가 발생했습니다</translation>
    </message>
    <message>
        <source>Every finished stroke is saved. The trace below helps to find the cause. Atrous sends nothing by itself.</source>
        <translation>끝낸 획은 모두 저장되었습니다. 아래 추적 기록이 원인을 찾는 데 도움이 됩니다. Atrous는 스스로 아무것도 보내지 않습니다.</translation>
    </message>
    <message>
        <source>Atrous crashed last time</source>
        <translation>지난번에 Atrous가 비정상 종료되었습니다</translation>
    </message>
    <message>
        <source>Atrous ended unexpectedly last time</source>
        <translation>지난번에 Atrous가 예기치 않게 끝났습니다</translation>
    </message>
    <message>
        <source>No folder yet</source>
        <translation>아직 폴더 없음</translation>
    </message>
    <message numerus="yes">
        <source>{n} of them has no match here: the model does not run until you choose one.</source>
        <comment>{n} of them have no match here: the model does not run until you choose one for each.</comment>
        <translation>
            <numerusform>그중 {n}개에 대응하는 클래스가 없어, 고를 때까지 모델을 실행하지 않습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>The model&apos;s classes differ from the project&apos;s</source>
        <translation>모델의 클래스가 프로젝트의 클래스와 다릅니다</translation>
    </message>
    <message>
        <source>Match classes…</source>
        <translation>클래스 연결…</translation>
    </message>
    <message>
        <source>Open folder</source>
        <translation>폴더 열기</translation>
    </message>
    <message>
        <source>Skipped files</source>
        <translation>건너뛴 파일</translation>
    </message>
    <message>
        <source>Export stopped</source>
        <translation>내보내기 중단됨</translation>
    </message>
    <message>
        <source>Export finished</source>
        <translation>내보내기 완료</translation>
    </message>
    <message>
        <source>Close this window and start Atrous again.</source>
        <translation>이 창을 닫고 Atrous를 다시 시작하세요.</translation>
    </message>
    <message>
        <source>The language changes at the next start</source>
        <translation>언어는 다음에 시작할 때 바뀝니다</translation>
    </message>
    <message>
        <source>The text size changes at the next start</source>
        <translation>글자 크기는 다음 시작부터 바뀝니다</translation>
    </message>
    <message>
        <source>{title} is still running.</source>
        <translation>{title} 작업이 아직 실행 중입니다.</translation>
    </message>
    <message>
        <source>What is done so far is kept; you can continue with the rest next time.</source>
        <translation>지금까지의 결과는 보관되며, 나머지는 다음에 이어서 할 수 있습니다.</translation>
    </message>
    <message>
        <source>Stop and close</source>
        <translation>멈추고 닫기</translation>
    </message>
    <message>
        <source>Keep running</source>
        <translation>계속 실행</translation>
    </message>
    <message>
        <source>Some of your work could not be saved.</source>
        <translation>작업 일부를 저장할 수 없었습니다.</translation>
    </message>
    <message>
        <source>Unsaved changes will be lost. Keep the window open and follow the message in it.</source>
        <translation>저장되지 않은 변경을 잃게 됩니다. 창을 열어 두고 창의 메시지를 따르세요.</translation>
    </message>
    <message>
        <source>Discard and close</source>
        <translation>버리고 닫기</translation>
    </message>
    <message>
        <source>Keep open</source>
        <translation>열어 두기</translation>
    </message>
    <message>
        <source>With one corrected image, none could be held out</source>
        <extracomment>Longest side of the pictures.</extracomment>
        <translation>수정한 이미지가 하나라서 따로 둘 이미지가 없었습니다</translation>
    </message>
    <message>
        <source>The {images} corrected images were split into {groups} groups, and for each group a model learned from the others, so that every image was held out once</source>
        <translation>수정한 {images}개 이미지를 {groups}개 묶음으로 나누고, 묶음마다 나머지 묶음에서 모델을 학습했습니다. 그래서 모든 이미지가 한 번씩 따로 두어졌습니다</translation>
    </message>
    <message>
        <source>{how}; its predictions on the held-out images are compared with your masks. The range is the 95 % interval over these images. The final model learns from all of them. The amount of learning was chosen on the same images, so expect slightly less on new ones</source>
        <translation>{how}. 따로 둔 이미지의 예측을 사용자의 마스크와 비교합니다. 범위는 이 이미지들에 대한 95 % 구간입니다. 최종 모델은 모든 이미지에서 학습합니다. 학습량을 같은 이미지에서 골랐으므로 새 이미지에서는 조금 낮을 수 있습니다</translation>
    </message>
    <message>
        <source>mean IoU on held-out images</source>
        <translation>따로 둔 이미지의 평균 IoU</translation>
    </message>
    <message>
        <source>mean IoU on the corrected images</source>
        <translation>수정한 이미지의 평균 IoU</translation>
    </message>
    <message>
        <source>The final model on the images it learned from: always better than on others</source>
        <translation>최종 모델을 학습에 쓴 이미지에서 본 결과입니다. 다른 이미지에서보다 항상 좋습니다</translation>
    </message>
    <message>
        <source>confident predictions kept</source>
        <translation>유지된 확실한 예측</translation>
    </message>
    <message>
        <source>On {background} that you have not edited</source>
        <translation>편집하지 않은 {background}에서</translation>
    </message>
    <message>
        <source>{low} to {high}, {images}</source>
        <translation>{low}에서 {high}, {images}</translation>
    </message>
    <message>
        <source>{points} points ({inside})</source>
        <translation>{points}포인트({inside})</translation>
    </message>
    <message>
        <source>Largest loss: {name}, {change}; uncertain, with one image.</source>
        <translation>가장 큰 손실: {name}, {change}. 이미지가 하나라 불확실합니다.</translation>
    </message>
    <message>
        <source>Largest loss: {name}, {change}; uncertain, because the interval includes 0.</source>
        <translation>가장 큰 손실: {name}, {change}. 구간에 0이 포함되어 불확실합니다.</translation>
    </message>
    <message>
        <source>Largest loss: {name}, {change}.</source>
        <translation>가장 큰 손실: {name}, {change}.</translation>
    </message>
    <message>
        <source>Also lost: {names} points.</source>
        <translation>함께 낮아진 클래스: {names}포인트.</translation>
    </message>
    <message>
        <source>May have lost, uncertain: {names} points.</source>
        <translation>낮아졌을 수 있는 클래스(불확실): {names}포인트.</translation>
    </message>
    <message>
        <source>Confident predictions kept on unedited images, fewest: {names}.</source>
        <translation>편집하지 않은 이미지에서 유지된 확실한 예측이 가장 적은 클래스: {names}.</translation>
    </message>
    <message numerus="yes">
        <source>{name} (and {n} more)</source>
        <comment>{name} (and {n} more)</comment>
        <translation>
            <numerusform>{name}(그 밖에 {n}개)</numerusform>
        </translation>
    </message>
    <message>
        <source>a moment</source>
        <translation>잠시</translation>
    </message>
    <message>
        <source>Learned from {pixels} of your pixels in {number}, in {seconds}; changed: {layers}.</source>
        <translation>{number}의 사용자 픽셀 {pixels}에서 {seconds} 동안 학습했습니다. 바뀐 층: {layers}.</translation>
    </message>
    <message>
        <source>Not used: {names}: {reason}.</source>
        <translation>사용하지 않음: {names}: {reason}.</translation>
    </message>
    <message>
        <source>brightness {brightness:+d}, contrast {contrast:+d}, gamma {gamma:.2f}</source>
        <extracomment>Ends of brightness and contrast, and of gamma; and what a key press changes.</extracomment>
        <translation>밝기 {brightness:+d}, 대비 {contrast:+d}, 감마 {gamma:.2f}</translation>
    </message>
    <message>
        <source>Class lists (*.txt *.json *.yaml *.yml *.csv *.xml);;All files (*)</source>
        <extracomment>Files that class lists are read from, for a file dialog.</extracomment>
        <translation>클래스 목록 (*.txt *.json *.yaml *.yml *.csv *.xml);;모든 파일 (*)</translation>
    </message>
    <message>
        <source>Atrous class list</source>
        <translation>Atrous 클래스 목록</translation>
    </message>
    <message>
        <source>No pixel of a mask changes.</source>
        <translation>마스크의 픽셀은 바뀌지 않습니다.</translation>
    </message>
    <message>
        <source>Counting the pixels that change…</source>
        <translation>바뀌는 픽셀을 세는 중…</translation>
    </message>
    <message>
        <source>{name}: no mask has a pixel of it.</source>
        <translation>{name}: 픽셀이 있는 마스크가 없습니다.</translation>
    </message>
    <message>
        <source>void</source>
        <translation>void</translation>
    </message>
    <message>
        <source>{name}: {pixels} in {images} become {target}.</source>
        <translation>{name}: {images}의 {pixels}이(가) {target}이(가) 됩니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} image could not be read.</source>
        <comment>{n} images could not be read.</comment>
        <translation>
            <numerusform>이미지 {n}개를 읽을 수 없었습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>Image: not measured, nothing is labelled yet.</source>
        <translation>이미지: 측정하지 않음, 아직 라벨이 없습니다.</translation>
    </message>
    <message>
        <source>Image: mIoU over the {classes} of its ground truth, pixel accuracy {accuracy}.</source>
        <translation>이미지: 정답에 있는 {classes}의 mIoU, 픽셀 정확도 {accuracy}.</translation>
    </message>
    <message>
        <source>Everywhere</source>
        <translation>전체</translation>
    </message>
    <message>
        <source>Component under the pointer</source>
        <translation>포인터 아래 성분</translation>
    </message>
    <message>
        <source>Inside the trimap band</source>
        <translation>트라이맵 밴드 안</translation>
    </message>
    <message>
        <source>Inside an outline</source>
        <translation>윤곽 안</translation>
    </message>
    <message>
        <source>This image</source>
        <translation>이 이미지</translation>
    </message>
    <message>
        <source>All images in the list</source>
        <translation>목록의 모든 이미지</translation>
    </message>
    <message>
        <source>All images of the folder</source>
        <translation>폴더의 모든 이미지</translation>
    </message>
    <message>
        <source>Drop islands</source>
        <translation>작은 조각 제거</translation>
    </message>
    <message>
        <source>Smaller than</source>
        <translation>이보다 작은 것</translation>
    </message>
    <message>
        <source>Fill holes</source>
        <translation>구멍 채우기</translation>
    </message>
    <message>
        <source>At most</source>
        <translation>최대</translation>
    </message>
    <message>
        <source>Keep the largest component</source>
        <translation>가장 큰 성분만 남기기</translation>
    </message>
    <message>
        <source>Grow</source>
        <translation>넓히기</translation>
    </message>
    <message>
        <source>By</source>
        <translation>너비</translation>
    </message>
    <message>
        <source>Shrink</source>
        <translation>좁히기</translation>
    </message>
    <message>
        <source>Smooth the outline</source>
        <translation>윤곽 다듬기</translation>
    </message>
    <message>
        <source>Details thinner than</source>
        <translation>이보다 가는 부분</translation>
    </message>
    <message>
        <source>This image: nothing changes.</source>
        <translation>이 이미지: 바뀌는 것이 없습니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} px changes</source>
        <comment>{n} px change</comment>
        <translation>
            <numerusform>{n} px가 바뀝니다</numerusform>
        </translation>
    </message>
    <message>
        <source>This image: {holes}, {size}.</source>
        <translation>이 이미지: {holes}, {size}.</translation>
    </message>
    <message numerus="yes">
        <source>{n} hole</source>
        <comment>{n} holes</comment>
        <translation>
            <numerusform>구멍 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>This image: {islands}, {size}.</source>
        <translation>이 이미지: {islands}, {size}.</translation>
    </message>
    <message numerus="yes">
        <source>{n} island</source>
        <comment>{n} islands</comment>
        <translation>
            <numerusform>조각 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>This image: {size}.</source>
        <translation>이 이미지: {size}.</translation>
    </message>
    <message>
        <source>{what} in {images}</source>
        <translation>{images}에서 {what}</translation>
    </message>
    <message>
        <source>{text}.</source>
        <translation>{text}.</translation>
    </message>
    <message>
        <source>{text} so far.</source>
        <translation>지금까지 {text}.</translation>
    </message>
    <message>
        <source>Click: {name}</source>
        <translation>클릭: {name}</translation>
    </message>
    <message>
        <source>Click: {name}, {size}</source>
        <translation>클릭: {name}, {size}</translation>
    </message>
    <message>
        <source>Shift+click: {name}</source>
        <translation>Shift+클릭: {name}</translation>
    </message>
    <message>
        <source>{now}, doubtful: {size}</source>
        <translation>{now}, 의심스러움: {size}</translation>
    </message>
    <message>
        <source>{now}, should be {right}: {size}, image mIoU {gain}</source>
        <translation>{now}, {right}이어야 함: {size}, 이미지 mIoU {gain}</translation>
    </message>
    <message>
        <source>Shift+Enter: {name}</source>
        <translation>Shift+Enter: {name}</translation>
    </message>
    <message>
        <source>Shift+Z: {name}</source>
        <translation>Shift+Z: {name}</translation>
    </message>
    <message>
        <source>Delete: the class around it</source>
        <translation>Delete: 주변 클래스</translation>
    </message>
    <message>
        <source>Shift+Delete: the prediction</source>
        <translation>Shift+Delete: 예측</translation>
    </message>
    <message>
        <source>Mask</source>
        <translation>마스크</translation>
    </message>
    <message>
        <source>Changed by the CRF</source>
        <translation>CRF가 바꾼 곳</translation>
    </message>
    <message>
        <source>Model A</source>
        <translation>모델 A</translation>
    </message>
    <message>
        <source>Model B</source>
        <translation>모델 B</translation>
    </message>
    <message>
        <source>Model C</source>
        <translation>모델 C</translation>
    </message>
    <message>
        <source>Model D</source>
        <translation>모델 D</translation>
    </message>
    <message>
        <source>Where models differ</source>
        <translation>모델이 다른 곳</translation>
    </message>
    <message>
        <source>{width} px</source>
        <extracomment>Panes of compared models, by their place in the comparison.</extracomment>
        <translation>{width} px</translation>
    </message>
    <message>
        <source>around the mask</source>
        <translation>마스크 주변</translation>
    </message>
    <message>
        <source>edited by hand {share}</source>
        <translation>직접 편집 {share}</translation>
    </message>
    <message>
        <source>pixel accuracy {accuracy}</source>
        <translation>픽셀 정확도 {accuracy}</translation>
    </message>
    <message>
        <source>1 − confidence</source>
        <translation>1 − 신뢰도</translation>
    </message>
    <message>
        <source>not applied</source>
        <translation>적용 안 됨</translation>
    </message>
    <message>
        <source>not applied, draft</source>
        <translation>적용 안 됨, 초안</translation>
    </message>
    <message>
        <source>{changed} px</source>
        <translation>{changed} px</translation>
    </message>
    <message numerus="yes">
        <source>{n} class has no matching class in this project: treated as void</source>
        <comment>{n} classes have no matching class in this project: treated as void</comment>
        <translation>
            <numerusform>클래스 {n}개는 이 프로젝트에 대응하는 클래스가 없어 void로 다룹니다</numerusform>
        </translation>
    </message>
    <message>
        <source>Share of the pixels in this image</source>
        <translation>이 이미지의 픽셀 중 비율</translation>
    </message>
    <message>
        <source>Pooled over {rows}, {scored} of them with ground truth</source>
        <translation>{rows}에서 통합, 그중 {scored}개에 정답 있음</translation>
    </message>
    <message>
        <source>in the ground truth of the folder</source>
        <translation>폴더의 정답에 있는</translation>
    </message>
    <message>
        <source>in the ground truth of this image</source>
        <translation>이 이미지의 정답에 있는</translation>
    </message>
    <message>
        <source>Mean IoU over the {number} {over}, the same for every model</source>
        <translation>{over} {number}의 평균 IoU, 모든 모델에 동일</translation>
    </message>
    <message>
        <source>mIoU over {counts}</source>
        <translation>클래스 {counts}개 mIoU</translation>
    </message>
    <message>
        <source>Share of labelled pixels that are correct</source>
        <translation>라벨이 있는 픽셀 중 맞은 비율</translation>
    </message>
    <message>
        <source>Pixel accuracy</source>
        <translation>픽셀 정확도</translation>
    </message>
    <message>
        <source>Time per prediction in milliseconds, when it was computed; for a folder the mean</source>
        <translation>예측할 때 걸린 시간(밀리초). 폴더에서는 평균</translation>
    </message>
    <message>
        <source>Time, ms</source>
        <translation>시간, ms</translation>
    </message>
    <message>
        <source>IoU in percent</source>
        <translation>IoU(퍼센트)</translation>
    </message>
    <message>
        <source>Share of the image in percent</source>
        <translation>이미지 중 비율(퍼센트)</translation>
    </message>
    <message>
        <source>IoU, %</source>
        <translation>IoU, %</translation>
    </message>
    <message>
        <source>Area, %</source>
        <translation>면적, %</translation>
    </message>
    <message>
        <source>differ {share}</source>
        <translation>다름 {share}</translation>
    </message>
    <message>
        <source>{one} correct {share}</source>
        <translation>{one} 맞음 {share}</translation>
    </message>
    <message>
        <source>{other} correct {share}</source>
        <translation>{other} 맞음 {share}</translation>
    </message>
    <message>
        <source>neither {share}</source>
        <translation>둘 다 틀림 {share}</translation>
    </message>
    <message>
        <source>void {share}</source>
        <translation>void {share}</translation>
    </message>
    <message>
        <source>helps</source>
        <extracomment>Verdicts of a setting, as ``atrous ablate`` says them.</extracomment>
        <translation>도움 됨</translation>
    </message>
    <message>
        <source>hurts</source>
        <translation>해로움</translation>
    </message>
    <message>
        <source>cannot tell</source>
        <translation>알 수 없음</translation>
    </message>
    <message>
        <source>too few</source>
        <translation>너무 적음</translation>
    </message>
    <message>
        <source>not the same ground truth</source>
        <translation>같은 정답이 아님</translation>
    </message>
    <message>
        <source>mIoU within {width} px</source>
        <translation>{width} px 안의 mIoU</translation>
    </message>
    <message>
        <source>{model} against A: {before} before, {after} after</source>
        <translation>A 대비 {model}: 전 {before}, 후 {after}</translation>
    </message>
    <message>
        <source>p {value}, corrected over all models and figures of this kind (Holm)</source>
        <translation>p {value}, 모든 모델과 같은 종류의 수치에 대해 보정함 (Holm)</translation>
    </message>
    <message>
        <source>boundary</source>
        <extracomment>Components that a list shows; the largest of a hundred thousand images are found in 30 ms. Up to so many images an interval is found while the user waits (0.3 s of CPU), beyond that on another thread. How components are sorted unless the user chooses another order. How a kind of failure reads as the title of a list.</extracomment>
        <translation>경계</translation>
    </message>
    <message>
        <source>extent</source>
        <translation>범위</translation>
    </message>
    <message>
        <source>segment</source>
        <translation>세그먼트</translation>
    </message>
    <message>
        <source>missed object</source>
        <translation>놓친 객체</translation>
    </message>
    <message>
        <source>invented object</source>
        <translation>없는 객체</translation>
    </message>
    <message>
        <source>cut by an occluder</source>
        <translation>가림체에 잘림</translation>
    </message>
    <message>
        <source>mostly hidden</source>
        <translation>대부분 가려짐</translation>
    </message>
    <message>
        <source>small object</source>
        <translation>작은 객체</translation>
    </message>
    <message>
        <source>cut by the image border</source>
        <translation>이미지 테두리에 잘림</translation>
    </message>
    <message>
        <source>objects</source>
        <translation>객체</translation>
    </message>
    <message>
        <source>pixels</source>
        <translation>픽셀</translation>
    </message>
    <message>
        <source>{one} called {other}</source>
        <translation>{one} → {other}</translation>
    </message>
    <message>
        <source>{name} predicted as something else</source>
        <translation>{name}을(를) 다른 것으로 예측</translation>
    </message>
    <message>
        <source>wrongly predicted as {name}</source>
        <translation>{name}(으)로 잘못 예측</translation>
    </message>
    <message>
        <source>all errors</source>
        <translation>모든 오류</translation>
    </message>
    <message>
        <source>{objects}: IoU {iou}, recall {recall}, {swapped} predicted as another object, {lost} of the objects missed</source>
        <extracomment>Draws for the intervals of bars.</extracomment>
        <translation>{objects}: IoU {iou}, 재현율 {recall}, {swapped} 다른 객체로 예측, 객체의 {lost} 놓침</translation>
    </message>
    <message numerus="yes">
        <source>{n} object</source>
        <comment>{n} objects</comment>
        <translation>
            <numerusform>객체 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>Objects by {axis}</source>
        <translation>{axis}별 객체</translation>
    </message>
    <message>
        <source>{pixels} px: mean IoU {iou}, accuracy {accuracy}, {images}</source>
        <translation>{pixels} px: 평균 IoU {iou}, 정확도 {accuracy}, {images}</translation>
    </message>
    <message>
        <source>{axis}, pixels</source>
        <translation>{axis}, 픽셀</translation>
    </message>
    <message>
        <source>Pixels by {axis}</source>
        <translation>{axis}별 픽셀</translation>
    </message>
    <message>
        <source>mean IoU</source>
        <translation>평균 IoU</translation>
    </message>
    <message>
        <source>{number}: {measure} {score}</source>
        <translation>{number}: {measure} {score}</translation>
    </message>
    <message>
        <source>{text}; 95 % interval {low} to {high}</source>
        <translation>{text}. 95 % 구간 {low}에서 {high}</translation>
    </message>
    <message>
        <source>Share of ground truth</source>
        <translation>정답 중 비율</translation>
    </message>
    <message>
        <source>Share of prediction</source>
        <translation>예측 중 비율</translation>
    </message>
    <message>
        <source>Pair score</source>
        <translation>쌍 점수</translation>
    </message>
    <message>
        <source>Most wrong pixels first</source>
        <translation>잘못된 픽셀이 많은 순</translation>
    </message>
    <message>
        <source>Confused classes side by side</source>
        <translation>혼동되는 클래스를 나란히</translation>
    </message>
    <message>
        <source>Rows are ground truth, columns predictions. Cell colours follow the logarithm of the pixels.</source>
        <extracomment>What the scales mean, for display beside the matrix.</extracomment>
        <translation>행은 정답, 열은 예측입니다. 칸의 색은 픽셀 수의 로그를 따릅니다.</translation>
    </message>
    <message>
        <source>Where the pixels of each ground truth class went: rows add up to 100 %, the diagonal is recall.</source>
        <translation>정답 클래스마다 픽셀이 어디로 갔는지: 행의 합은 100 %이고 대각선이 재현율입니다.</translation>
    </message>
    <message>
        <source>What the pixels predicted as each class are: columns add up to 100 %, the diagonal is precision.</source>
        <translation>각 클래스로 예측된 픽셀이 실제로 무엇인지: 열의 합은 100 %이고 대각선이 정밀도입니다.</translation>
    </message>
    <message>
        <source>How often two classes are confused, in both directions, as a share of their ground truth pixels.</source>
        <translation>두 클래스가 양방향으로 혼동된 정도. 두 클래스의 정답 픽셀 중 비율입니다.</translation>
    </message>
    <message>
        <source>Boundary</source>
        <extracomment>Pairs on the failure board. Titles of the splits of a cell, in groups that each add up to 100 %. Sizes are COCO&apos;s: 32 x 32 and 96 x 96 px.</extracomment>
        <translation>경계</translation>
    </message>
    <message>
        <source>Extent</source>
        <translation>범위</translation>
    </message>
    <message>
        <source>Segment</source>
        <translation>세그먼트</translation>
    </message>
    <message>
        <source>Occluded</source>
        <translation>가려짐</translation>
    </message>
    <message>
        <source>Not occluded</source>
        <translation>가려지지 않음</translation>
    </message>
    <message>
        <source>No object</source>
        <translation>객체 아님</translation>
    </message>
    <message>
        <source>Small</source>
        <translation>작음</translation>
    </message>
    <message>
        <source>Medium</source>
        <translation>중간</translation>
    </message>
    <message>
        <source>Large</source>
        <translation>큼</translation>
    </message>
    <message>
        <source>On the edge of an object that was found</source>
        <translation>찾은 객체의 가장자리에서</translation>
    </message>
    <message>
        <source>An object was found, but a part is missing or too much</source>
        <translation>객체를 찾았지만 일부가 빠졌거나 넘침</translation>
    </message>
    <message>
        <source>A whole region of the class is missing or made up</source>
        <translation>클래스의 영역 전체가 빠졌거나 잘못 생김</translation>
    </message>
    <message>
        <source>Of objects of the ground truth that another object cuts or touches along a long border</source>
        <translation>다른 객체에 잘렸거나 긴 경계로 맞닿은 정답 객체</translation>
    </message>
    <message>
        <source>Of the other objects of the ground truth</source>
        <translation>정답의 나머지 객체</translation>
    </message>
    <message>
        <source>Of background and stuff</source>
        <translation>배경과 영역형 클래스</translation>
    </message>
    <message>
        <source>Of objects of fewer than 32 × 32 px</source>
        <translation>32 × 32 px보다 작은 객체</translation>
    </message>
    <message>
        <source>Of objects from 32 × 32 to 96 × 96 px</source>
        <translation>32 × 32에서 96 × 96 px까지의 객체</translation>
    </message>
    <message>
        <source>Of objects of 96 × 96 px or more</source>
        <translation>96 × 96 px 이상인 객체</translation>
    </message>
    <message>
        <source>Share of its loss</source>
        <translation>손실 중 비율</translation>
    </message>
    <message>
        <source>Missed px</source>
        <translation>누락 px</translation>
    </message>
    <message>
        <source>False px</source>
        <translation>오검출 px</translation>
    </message>
    <message>
        <source>IoU if fixed</source>
        <translation>고쳤을 때 IoU</translation>
    </message>
    <message>
        <source>{share} of all errors, in {images} of {inspected}</source>
        <translation>모든 오류의 {share}, {inspected} 중 {images}개</translation>
    </message>
    <message>
        <source>{part} of {whole}</source>
        <translation>{whole} 중 {part}</translation>
    </message>
    <message>
        <source>Mean</source>
        <translation>평균</translation>
    </message>
    <message>
        <source>{name} {share}</source>
        <translation>{name} {share}</translation>
    </message>
    <message>
        <source>{title}: {components}, {share} of them in one image. Share of the loss: {shares}. Click to see them.</source>
        <translation>{title}: {components}, 한 이미지에 그중 {share}. 손실 중 비율: {shares}. 클릭하면 보여 줍니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} wrong pixel</source>
        <comment>{n} wrong pixels</comment>
        <translation>
            <numerusform>틀린 픽셀 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>current mask</source>
        <translation>현재 마스크</translation>
    </message>
    <message>
        <source>model</source>
        <extracomment>Height of the axis of widths below the curves, px.</extracomment>
        <translation>모델</translation>
    </message>
    <message>
        <source>now</source>
        <translation>현재</translation>
    </message>
    <message>
        <source>Objects by occlusion (shared outline)</source>
        <translation>가림 정도별 객체(공유 윤곽)</translation>
    </message>
    <message>
        <source>Band: {rule}.</source>
        <translation>밴드: {rule}.</translation>
    </message>
    <message>
        <source>Open an image with ground truth.</source>
        <translation>정답이 있는 이미지를 여세요.</translation>
    </message>
    <message>
        <source>band width, px</source>
        <translation>밴드 너비, px</translation>
    </message>
    <message>
        <source>No image has ground truth and a mask.</source>
        <translation>정답과 마스크가 있는 이미지가 없습니다.</translation>
    </message>
    <message>
        <source>{mean} ({low} to {high})</source>
        <translation>{mean}({low}에서 {high})</translation>
    </message>
    <message>
        <source>mIoU {mean} over the {over} in ground truth or masks, pooled over {counts}; lines are 95 % bootstrap intervals over images. n: images with the class; pale bars are based on fewer than {few}.</source>
        <translation>정답이나 마스크에 있는 {over}의 mIoU {mean}, {counts}에서 통합. 선은 이미지에 대한 95 % 부트스트랩 구간입니다. n: 그 클래스가 있는 이미지 수. 옅은 막대는 {few} 미만에 근거합니다.</translation>
    </message>
    <message>
        <source>Rows are ground truth, columns predictions; colours are shares of the row.</source>
        <translation>행은 정답, 열은 예측이며 색은 행 안의 비율입니다.</translation>
    </message>
    <message>
        <source>share of pixels</source>
        <translation>픽셀의 비율</translation>
    </message>
    <message>
        <source>calibrated</source>
        <translation>보정됨</translation>
    </message>
    <message>
        <source>ECE {ece} over {total} px</source>
        <translation>{total} px에서 ECE {ece}</translation>
    </message>
    <message>
        <source>Requires ground truth and predictions.</source>
        <translation>정답과 예측이 필요합니다.</translation>
    </message>
    <message>
        <source>share correct</source>
        <translation>맞은 비율</translation>
    </message>
    <message>
        <source>confidence</source>
        <translation>신뢰도</translation>
    </message>
    <message>
        <source>Requires ground truth and predictions of a one-channel (sigmoid) model: predict, then open the Rankings page.</source>
        <translation>정답과 1채널(시그모이드) 모델의 예측이 필요합니다. 예측한 뒤 순위 페이지를 여세요.</translation>
    </message>
    <message>
        <source>recall</source>
        <translation>재현율</translation>
    </message>
    <message>
        <source>precision</source>
        <translation>정밀도</translation>
    </message>
    <message>
        <source>all thresholds</source>
        <translation>모든 임계값</translation>
    </message>
    <message>
        <source>AP {average_precision} over {pixels} px of the object.</source>
        <translation>객체 픽셀 {pixels} px에서 AP {average_precision}.</translation>
    </message>
    <message>
        <source>threshold in use</source>
        <translation>사용 중인 임계값</translation>
    </message>
    <message>
        <source>largest IoU</source>
        <translation>가장 큰 IoU</translation>
    </message>
    <message>
        <source>{name} {threshold:.3g}: IoU {iou}.</source>
        <translation>{name} {threshold:.3g}: IoU {iou}.</translation>
    </message>
    <message>
        <source>lost</source>
        <translation>놓침</translation>
    </message>
    <message>
        <source>{objects}. n: objects; pale marks are based on fewer than {few}. Lines at IoU: 95 % interval over images.</source>
        <translation>{objects}. n: 객체 수. 옅은 표시는 {few} 미만에 근거합니다. IoU의 선: 이미지에 대한 95 % 구간.</translation>
    </message>
    <message>
        <source>n: images; pale marks are based on fewer than {few}. Lines at mIoU: 95 % interval over images.</source>
        <translation>n: 이미지 수. 옅은 표시는 {few} 미만에 근거합니다. mIoU의 선: 이미지에 대한 95 % 구간.</translation>
    </message>
    <message>
        <source>Not measured: no object with this property.</source>
        <translation>측정하지 않음: 이 속성의 객체가 없습니다.</translation>
    </message>
    <message>
        <source>pixel accuracy</source>
        <translation>픽셀 정확도</translation>
    </message>
    <message>
        <source>score</source>
        <translation>점수</translation>
    </message>
    <message>
        <source>Not measured.</source>
        <translation>측정하지 않음.</translation>
    </message>
    <message>
        <source>Choose a table of attributes on the page Failures. Its columns become slices of images or objects.</source>
        <translation>오류 분석 페이지에서 속성 표를 고르세요. 열이 이미지나 객체의 슬라이스가 됩니다.</translation>
    </message>
    <message>
        <source>IoU of objects, mean IoU of images</source>
        <translation>객체의 IoU, 이미지의 평균 IoU</translation>
    </message>
    <message>
        <source>n: objects or images; pale bars are based on fewer than {objects} objects or {images} images. Lines are 95 % bootstrap intervals over images.</source>
        <translation>n: 객체 수 또는 이미지 수. 옅은 막대는 객체 {objects}개 또는 이미지 {images}개 미만에 근거합니다. 선은 이미지에 대한 95 % 부트스트랩 구간입니다.</translation>
    </message>
    <message>
        <source>random order</source>
        <translation>무작위 순서</translation>
    </message>
    <message>
        <source>Area {area}.</source>
        <translation>면적 {area}.</translation>
    </message>
    <message>
        <source>Area {area}, skill {skill} (0 % random, 100 % best possible).</source>
        <translation>면적 {area}, 우수성 {skill}(0 % 무작위, 100 % 가능한 최선).</translation>
    </message>
    <message>
        <source>The first tenth of the images has {value:.0f} % of the errors.</source>
        <translation>처음 10분의 1의 이미지에 오류의 {value:.0f} %가 있습니다.</translation>
    </message>
    <message>
        <source>Cumulative gain, {ranking}</source>
        <translation>누적 이득, {ranking}</translation>
    </message>
    <message>
        <source>share of images reviewed</source>
        <translation>검토한 이미지의 비율</translation>
    </message>
    <message>
        <source>share of errors found</source>
        <translation>찾은 오류의 비율</translation>
    </message>
    <message>
        <source>Nothing has been recorded yet.</source>
        <translation>아직 기록된 것이 없습니다.</translation>
    </message>
    <message>
        <source>time</source>
        <translation>시간</translation>
    </message>
    <message>
        <source>reviewed</source>
        <translation>검토</translation>
    </message>
    <message>
        <source>edited</source>
        <translation>편집</translation>
    </message>
    <message>
        <source>mIoU over all classes found, older version</source>
        <translation>찾은 모든 클래스의 mIoU, 이전 버전</translation>
    </message>
    <message>
        <source>mIoU of the folder</source>
        <translation>폴더의 mIoU</translation>
    </message>
    <message>
        <source>Reviewed: {reviewed} of {images}, edited: {touched}.</source>
        <translation>검토: {images} 중 {reviewed}개, 편집: {touched}개.</translation>
    </message>
    <message>
        <source>days since {began} UTC</source>
        <translation>{began} UTC 이후 일수</translation>
    </message>
    <message>
        <source>share</source>
        <translation>비율</translation>
    </message>
    <message>
        <source>Score</source>
        <translation>점수</translation>
    </message>
    <message>
        <source>Labelled</source>
        <translation>라벨</translation>
    </message>
    <message>
        <source>Predicted</source>
        <translation>예측</translation>
    </message>
    <message>
        <source>Label</source>
        <translation>라벨</translation>
    </message>
    <message>
        <source>Expected wrong</source>
        <translation>예상 오류</translation>
    </message>
    <message>
        <source>{score} px</source>
        <translation>{score} px</translation>
    </message>
    <message>
        <source>{names} or {name}</source>
        <translation>{names} 또는 {name}</translation>
    </message>
    <message>
        <source>No ground truth found. Choose its folder in the Ground truth menu.</source>
        <translation>정답을 찾지 못했습니다. 정답 메뉴에서 폴더를 고르세요.</translation>
    </message>
    <message>
        <source>no ground truth</source>
        <translation>정답 없음</translation>
    </message>
    <message>
        <source>{known} of {total}</source>
        <translation>{total} 중 {known}</translation>
    </message>
    <message>
        <source>{known} of {total} with ground truth</source>
        <translation>{total} 중 {known}개에 정답 있음</translation>
    </message>
    <message>
        <source>reading…</source>
        <translation>읽는 중…</translation>
    </message>
    <message>
        <source>no masks</source>
        <translation>마스크 없음</translation>
    </message>
    <message>
        <source>No image has both ground truth and a mask yet. Run the model on the folder.</source>
        <translation>정답과 마스크가 모두 있는 이미지가 아직 없습니다. 폴더에 모델을 실행하세요.</translation>
    </message>
    <message>
        <source>Size of the object</source>
        <translation>객체의 크기</translation>
    </message>
    <message>
        <source>Hidden by neighbours</source>
        <translation>이웃에 가려짐</translation>
    </message>
    <message>
        <source>Visible share</source>
        <translation>보이는 비율</translation>
    </message>
    <message>
        <source>Distance to an edge</source>
        <translation>가장자리까지의 거리</translation>
    </message>
    <message>
        <source>{title} from {value}</source>
        <translation>{title} {value}부터</translation>
    </message>
    <message>
        <source>{title} {low:g} px</source>
        <translation>{title} {low:g} px</translation>
    </message>
    <message>
        <source>{title} {low:g} to {last} px</source>
        <translation>{title} {low:g}에서 {last} px</translation>
    </message>
    <message>
        <source>{title} {value} to {end}</source>
        <translation>{title} {value}에서 {end}</translation>
    </message>
    <message>
        <source>Weights</source>
        <extracomment>Labels of the options, and what each is about.</extracomment>
        <translation>가중치</translation>
    </message>
    <message>
        <source>Which weights of the file to use: trained, or averaged</source>
        <translation>파일에서 사용할 가중치: 학습된 것 또는 평균한 것</translation>
    </message>
    <message>
        <source>Output</source>
        <translation>출력</translation>
    </message>
    <message>
        <source>Which output of the graph to read</source>
        <translation>그래프에서 읽을 출력</translation>
    </message>
    <message>
        <source>Input pixels per feature at the encoder&apos;s end</source>
        <translation>인코더 끝에서 특징 하나에 해당하는 입력 픽셀 수</translation>
    </message>
    <message>
        <source>Atrous rates</source>
        <translation>팽창률</translation>
    </message>
    <message>
        <source>Rates of the atrous convolutions in the pyramid, separated by commas</source>
        <translation>피라미드의 팽창 합성곱에 쓰는 팽창률, 쉼표로 구분</translation>
    </message>
    <message>
        <source>Upsampling</source>
        <translation>업샘플링</translation>
    </message>
    <message>
        <source>How the decoder upsamples features</source>
        <translation>디코더가 특징을 업샘플링하는 방법</translation>
    </message>
    <message>
        <source>Align corners</source>
        <translation>모서리 정렬</translation>
    </message>
    <message>
        <source>Whether bilinear upsampling aligns the corner pixels</source>
        <translation>이중선형 업샘플링이 모서리 픽셀을 맞추는지</translation>
    </message>
    <message>
        <source>Channels</source>
        <translation>채널</translation>
    </message>
    <message>
        <source>Order of the input&apos;s channels</source>
        <translation>입력 채널의 순서</translation>
    </message>
    <message>
        <source>Subtracted from each channel, on the scale 0 to 255</source>
        <translation>각 채널에서 뺄 값, 0에서 255 눈금</translation>
    </message>
    <message>
        <source>Standard deviation</source>
        <translation>표준 편차</translation>
    </message>
    <message>
        <source>Each channel is divided by it, on the scale 0 to 255</source>
        <translation>각 채널을 나눌 값, 0에서 255 눈금</translation>
    </message>
    <message>
        <source>Resize</source>
        <translation>크기 조정</translation>
    </message>
    <message>
        <source>native, long_side:N, short_side:N, fit:HxW or stretch:HxW</source>
        <translation>native, long_side:N, short_side:N, fit:HxW 또는 stretch:HxW</translation>
    </message>
    <message>
        <source>Padding</source>
        <translation>패딩</translation>
    </message>
    <message>
        <source>none, canvas:N, canvas:HxW, multiple:N or grid:N</source>
        <translation>none, canvas:N, canvas:HxW, multiple:N 또는 grid:N</translation>
    </message>
    <message>
        <source>Guessed: {names}</source>
        <translation>추정: {names}</translation>
    </message>
    <message>
        <source>{value:.0f} ms</source>
        <translation>{value:.0f} ms</translation>
    </message>
    <message>
        <source>{title}, stride {output_stride}</source>
        <translation>{title}, 스트라이드 {output_stride}</translation>
    </message>
    <message>
        <source>Licence: {licence}</source>
        <translation>라이선스: {licence}</translation>
    </message>
    <message>
        <source>{width} × {height} px</source>
        <translation>{width} × {height} px</translation>
    </message>
    <message>
        <source>{share:.0%} within {radius} px</source>
        <translation>{radius} px 안에 {share:.0%}</translation>
    </message>
    <message>
        <source>{name} at {x}, {y}: theory {size}</source>
        <translation>{x}, {y}의 {name}: 이론 {size}</translation>
    </message>
    <message>
        <source>gradient: {radii} · {milliseconds}</source>
        <translation>기울기: {radii} · {milliseconds}</translation>
    </message>
    <message>
        <source>dotted, by branch: {branches} px</source>
        <translation>점선, 가지별: {branches} px</translation>
    </message>
    <message>
        <source>{index} of {images}</source>
        <translation>{images} 중 {index}개</translation>
    </message>
    <message>
        <source>Metrics are computed against these masks.</source>
        <translation>지표는 이 마스크를 기준으로 계산합니다.</translation>
    </message>
    <message>
        <source>No IoU is computed. Labelling, prediction, refinement and export work.</source>
        <translation>IoU를 계산하지 않습니다. 라벨링, 예측, 정제, 내보내기는 됩니다.</translation>
    </message>
    <message>
        <source>{name}: {matches} of {images}</source>
        <translation>{name}: {images} 중 {matches}개</translation>
    </message>
    <message>
        <source>This cannot be ground truth: {why}.</source>
        <translation>정답이 될 수 없습니다: {why}.</translation>
    </message>
    <message>
        <source>{what} On images that no user edited, the model would be evaluated against itself.</source>
        <translation>{what} 사용자가 편집하지 않은 이미지에서는 모델을 자기 자신과 비교하게 됩니다.</translation>
    </message>
    <message>
        <source>{what} Metrics against a model&apos;s own masks say nothing about its errors.</source>
        <translation>{what} 모델 자신의 마스크와 비교한 지표는 모델의 오류를 알려 주지 않습니다.</translation>
    </message>
    <message>
        <source>Metrics are wrong if computed against the wrong masks. The answer is stored in the project.</source>
        <translation>잘못된 마스크를 기준으로 하면 지표가 틀립니다. 답은 프로젝트에 저장됩니다.</translation>
    </message>
    <message>
        <source>Metrics are computed against these masks. The choice is stored in the project and can be changed at any time.</source>
        <translation>지표는 이 마스크를 기준으로 계산합니다. 선택은 프로젝트에 저장되며 언제든 바꿀 수 있습니다.</translation>
    </message>
    <message>
        <source>No ground truth chosen</source>
        <translation>선택한 정답 없음</translation>
    </message>
    <message>
        <source>The choice is not clear: press &apos;Ground truth…&apos; to see the folders.</source>
        <translation>선택이 분명하지 않습니다. &apos;정답…&apos;을 눌러 폴더를 보세요.</translation>
    </message>
    <message>
        <source>Ground truth masks have the same names as their images.</source>
        <translation>정답 마스크는 이미지와 이름이 같습니다.</translation>
    </message>
    <message>
        <source>Ground truth cannot be read</source>
        <translation>정답을 읽을 수 없음</translation>
    </message>
    <message>
        <source>You postponed the choice. Press &apos;Ground truth…&apos; to choose.</source>
        <translation>선택을 미루었습니다. 고르려면 &apos;정답…&apos;을 누르세요.</translation>
    </message>
    <message>
        <source>No ground truth (your choice)</source>
        <translation>정답 없음(사용자 선택)</translation>
    </message>
    <message>
        <source>Press &apos;Ground truth…&apos; to choose a folder.</source>
        <translation>폴더를 고르려면 &apos;정답…&apos;을 누르세요.</translation>
    </message>
    <message>
        <source>chosen</source>
        <translation>선택함</translation>
    </message>
    <message>
        <source>found automatically</source>
        <translation>자동으로 찾음</translation>
    </message>
    <message numerus="yes">
        <source>{n} folder</source>
        <comment>{n} folders</comment>
        <translation>
            <numerusform>폴더 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>{index} of {images} have ground truth.</source>
        <translation>{images} 중 {index}개에 정답이 있습니다.</translation>
    </message>
    <message>
        <source>Source: {source}.</source>
        <translation>출처: {source}.</translation>
    </message>
    <message>
        <source>It holds {text}.</source>
        <translation>{text}이(가) 들어 있습니다.</translation>
    </message>
    <message>
        <source>predictions</source>
        <translation>예측</translation>
    </message>
    <message>
        <source>an export</source>
        <translation>내보낸 결과</translation>
    </message>
    <message>
        <source>an export, {untouched} of {outputs} untouched</source>
        <translation>내보낸 결과, {outputs}개 중 {untouched}개는 수정되지 않음</translation>
    </message>
    <message>
        <source>The masks are read as stored (EXIF orientation).</source>
        <translation>마스크를 저장된 방향대로 읽습니다(EXIF 방향).</translation>
    </message>
    <message>
        <source>The masks are read as displayed (EXIF orientation).</source>
        <translation>마스크를 표시되는 방향대로 읽습니다(EXIF 방향).</translation>
    </message>
    <message>
        <source>found in the ground truth</source>
        <translation>정답에서 찾음</translation>
    </message>
    <message>
        <source>kept: images are labelled in these classes, and the ground truth allows them</source>
        <translation>유지됨: 이 클래스로 라벨이 있는 이미지가 있고, 정답도 이를 허용합니다</translation>
    </message>
    <message>
        <source>not confirmed: the ground truth allows other classes too</source>
        <translation>확인 안 됨: 정답이 다른 클래스도 허용합니다</translation>
    </message>
    <message>
        <source>the default of a new project</source>
        <translation>새 프로젝트의 기본값</translation>
    </message>
    <message>
        <source>not confirmed</source>
        <translation>확인 안 됨</translation>
    </message>
    <message>
        <source>{title}
Source: {by}.</source>
        <translation>{title}
출처: {by}.</translation>
    </message>
    <message>
        <source>{read} of {sampled}</source>
        <translation>{sampled} 중 {read}</translation>
    </message>
    <message>
        <source>none</source>
        <translation>없음</translation>
    </message>
    <message>
        <source>No ground truth file can be read in these classes.</source>
        <translation>이 클래스로 읽을 수 있는 정답 파일이 없습니다.</translation>
    </message>
    <message numerus="yes">
        <source>Of {n} file that was checked, {refused} cannot be read.</source>
        <comment>Of {n} files that were checked, {refused} cannot be read.</comment>
        <translation>
            <numerusform>확인한 파일 {n}개 중 {refused}개를 읽을 수 없습니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} class of {catalog} occurs</source>
        <comment>{n} classes of {catalog} occur</comment>
        <translation>
            <numerusform>{catalog}의 클래스 {n}개가 나옵니다</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The checked file can be read; {known}.</source>
        <comment>All {n} checked files can be read; {known}.</comment>
        <translation>
            <numerusform>확인한 파일 {n}개를 읽을 수 있습니다. {known}.</numerusform>
        </translation>
    </message>
    <message>
        <source>But the ground truth suggests {title}: its ids would get other names.</source>
        <translation>하지만 정답은 {title}을(를) 가리킵니다. 이대로면 ID의 이름이 달라집니다.</translation>
    </message>
    <message>
        <source>You edited {touched} in other ids, so these classes cannot be used here. {change}.</source>
        <translation>{touched}을(를) 다른 ID로 편집했으므로 여기서는 이 클래스를 쓸 수 없습니다. {change}.</translation>
    </message>
    <message numerus="yes">
        <source>{n} mask of a model, which you have not edited, is set aside and can be predicted again.</source>
        <comment>{n} masks of a model, which you have not edited, are set aside and can be predicted again.</comment>
        <translation>
            <numerusform>편집하지 않은 모델의 마스크 {n}개를 따로 치워 두며, 다시 예측할 수 있습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>&apos;Undo folder job&apos; restores them.</source>
        <translation>&apos;폴더 작업 실행 취소&apos;로 되돌릴 수 있습니다.</translation>
    </message>
    <message>
        <source>Continue the folder run?</source>
        <translation>폴더 실행을 계속할까요?</translation>
    </message>
    <message>
        <source>Run the model on the folder?</source>
        <translation>폴더에 모델을 실행할까요?</translation>
    </message>
    <message numerus="yes">
        <source>{model} predicts {n} image that is left.</source>
        <comment>{model} predicts {n} images that are left.</comment>
        <translation>
            <numerusform>{model}이(가) 남은 이미지 {n}개를 예측합니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{model} predicts {n} image.</source>
        <comment>{model} predicts {n} images.</comment>
        <translation>
            <numerusform>{model}이(가) 이미지 {n}개를 예측합니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image without a mask takes the prediction.</source>
        <comment>{n} images without a mask take the prediction.</comment>
        <translation>
            <numerusform>마스크가 없는 이미지 {n}개가 예측을 받습니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image that you opened keeps its labels; &apos;{command}&apos; uses the new ones.</source>
        <comment>{n} images that you opened keep their labels; &apos;{command}&apos; uses the new ones.</comment>
        <translation>
            <numerusform>열었던 이미지 {n}개는 라벨을 유지합니다. &apos;{command}&apos; 명령은 새 라벨을 씁니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>Run</source>
        <translation>실행</translation>
    </message>
    <message numerus="yes">
        <source>The mask of {n} image that you have not edited may change, one undo step each. {undo}</source>
        <comment>The masks of {n} images that you have not edited may change, one undo step each. {undo}</comment>
        <translation>
            <numerusform>편집하지 않은 이미지 {n}개의 마스크가 바뀔 수 있으며, 각각 한 단계로 실행 취소할 수 있습니다. {undo}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image without a prediction gets one, refined.</source>
        <comment>{n} images without a prediction get one, refined.</comment>
        <translation>
            <numerusform>예측이 없는 이미지 {n}개가 정제된 예측을 받습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>Refine the whole folder with {title}?</source>
        <translation>폴더 전체를 {title}(으)로 정제할까요?</translation>
    </message>
    <message numerus="yes">
        <source>{n} model predicts {images}.</source>
        <comment>{n} models predict {images}.</comment>
        <translation>
            <numerusform>모델 {n}개가 {images}을(를) 예측합니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>No mask changes.</source>
        <translation>마스크는 바뀌지 않습니다.</translation>
    </message>
    <message>
        <source>Compare the models on the whole folder?</source>
        <translation>폴더 전체에서 모델을 비교할까요?</translation>
    </message>
    <message>
        <source>{model} becomes the current model and predicts {records}.</source>
        <translation>{model}이(가) 현재 모델이 되어 {records}을(를) 예측합니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} image that you have not edited takes its labels.</source>
        <comment>{n} images that you have not edited take its labels.</comment>
        <translation>
            <numerusform>편집하지 않은 이미지 {n}개가 그 라벨을 받습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>Use the learned model?</source>
        <translation>학습한 모델을 사용할까요?</translation>
    </message>
    <message>
        <source>The masks of {images} may change, one undo step each. {undo}</source>
        <translation>{images}의 마스크가 바뀔 수 있으며, 각각 한 단계로 실행 취소할 수 있습니다. {undo}</translation>
    </message>
    <message>
        <source>Pixels that you painted stay, and so do locked classes.</source>
        <translation>직접 칠한 픽셀과 잠긴 클래스는 그대로입니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} image marked as reviewed keeps its mask.</source>
        <comment>{n} images marked as reviewed keep their masks.</comment>
        <translation>
            <numerusform>검토 완료로 표시한 이미지 {n}개는 마스크를 유지합니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>{title} in these images?</source>
        <translation>이 이미지들에 {title}을(를) 실행할까요?</translation>
    </message>
    <message>
        <source>Change masks</source>
        <translation>마스크 변경</translation>
    </message>
    <message>
        <source>The last folder job ended on {when}, before the project was opened.</source>
        <translation>마지막 폴더 작업은 프로젝트를 열기 전인 {when}에 끝났습니다.</translation>
    </message>
    <message>
        <source>The last folder job ended before the project was opened.</source>
        <translation>마지막 폴더 작업은 프로젝트를 열기 전에 끝났습니다.</translation>
    </message>
    <message numerus="yes">
        <source>It changed {n} mask, which is restored.</source>
        <comment>It changed {n} masks, which are restored.</comment>
        <translation>
            <numerusform>작업이 바꾼 마스크 {n}개를 되돌립니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>Images that you have changed or reviewed since then stay unchanged.</source>
        <translation>그 뒤에 변경하거나 검토한 이미지는 그대로 둡니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} suggestion of the job is withdrawn if it still waits.</source>
        <comment>{n} suggestions of the job are withdrawn if they still wait.</comment>
        <translation>
            <numerusform>아직 남아 있는 작업의 제안 {n}개를 거둡니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>Undo &apos;{title}&apos;?</source>
        <translation>&apos;{title}&apos; 작업을 실행 취소할까요?</translation>
    </message>
    <message>
        <source>Undo job</source>
        <translation>작업 실행 취소</translation>
    </message>
    <message numerus="yes">
        <source>the prediction is kept beside it as a suggestion</source>
        <comment>the prediction is kept beside them as a suggestion</comment>
        <translation>
            <numerusform>예측은 제안으로 옆에 보관됩니다</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>the result is kept beside it as a suggestion</source>
        <comment>the result is kept beside them as a suggestion</comment>
        <translation>
            <numerusform>결과는 제안으로 옆에 보관됩니다</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image that you have edited keeps its mask</source>
        <comment>{n} images that you have edited keep their masks</comment>
        <translation>
            <numerusform>편집한 이미지 {n}개는 마스크를 유지합니다</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image that you have edited keeps its mask ({reviewed} reviewed)</source>
        <comment>{n} images that you have edited keep their masks ({reviewed} reviewed)</comment>
        <translation>
            <numerusform>편집한 이미지 {n}개는 마스크를 유지합니다(검토 완료 {reviewed}개)</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image file is missing and skipped.</source>
        <comment>{n} image files are missing and skipped.</comment>
        <translation>
            <numerusform>이미지 파일 {n}개가 없어 건너뜁니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} rejected image is left out.</source>
        <comment>{n} rejected images are left out.</comment>
        <translation>
            <numerusform>반려된 이미지 {n}개를 제외합니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} rejected image is exported too.</source>
        <comment>{n} rejected images are exported too.</comment>
        <translation>
            <numerusform>반려된 이미지 {n}개도 내보냅니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>Masks of {written} will be written; the project&apos;s own masks do not change.</source>
        <translation>{written}의 마스크를 씁니다. 프로젝트의 마스크는 바뀌지 않습니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} image has no corrected mask</source>
        <comment>{n} images have no corrected mask</comment>
        <translation>
            <numerusform>이미지 {n}개에 수정한 마스크가 없습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>left out and listed in the summary</source>
        <translation>제외하고 요약에 표시합니다</translation>
    </message>
    <message>
        <source>the prediction is exported instead</source>
        <translation>대신 예측을 내보냅니다</translation>
    </message>
    <message>
        <source>left out, because there is no prediction either</source>
        <translation>예측도 없어 제외합니다</translation>
    </message>
    <message numerus="yes">
        <source>{n} prediction is exported</source>
        <comment>{n} predictions are exported</comment>
        <translation>
            <numerusform>예측 {n}개를 내보냅니다</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image without a prediction is left out</source>
        <comment>{n} images without a prediction are left out</comment>
        <translation>
            <numerusform>예측이 없는 이미지 {n}개는 제외합니다</numerusform>
        </translation>
    </message>
    <message>
        <source>{exported}, {left}</source>
        <translation>{exported}, {left}</translation>
    </message>
    <message>
        <source>{text} {bare}: {then}.</source>
        <translation>{text} {bare}: {then}.</translation>
    </message>
    <message>
        <source>new</source>
        <translation>새 이미지</translation>
    </message>
    <message>
        <source>predicted</source>
        <translation>예측됨</translation>
    </message>
    <message>
        <source>corrected</source>
        <translation>수정됨</translation>
    </message>
    <message>
        <source>rejected</source>
        <extracomment>What replaces the status of a rejected image.</extracomment>
        <translation>반려됨</translation>
    </message>
    <message>
        <source>{status}: {why}</source>
        <translation>{status}: {why}</translation>
    </message>
    <message>
        <source>mIoU {iou} (mean over the classes in the ground truth)</source>
        <translation>mIoU {iou}(정답에 있는 클래스의 평균)</translation>
    </message>
    <message>
        <source>mean uncertainty {uncertainty}</source>
        <translation>평균 불확실도 {uncertainty}</translation>
    </message>
    <message>
        <source>its file has changed since it was edited</source>
        <translation>편집한 뒤 파일이 바뀌었습니다</translation>
    </message>
    <message>
        <source>note: {text}</source>
        <translation>메모: {text}</translation>
    </message>
    <message numerus="yes">
        <source>{n} more note</source>
        <comment>{n} more notes</comment>
        <translation>
            <numerusform>메모 {n}개 더</numerusform>
        </translation>
    </message>
    <message>
        <source>{time} of active time, {actions}</source>
        <translation>실제 작업 시간 {time}, {actions}</translation>
    </message>
    <message numerus="yes">
        <source>{n} action</source>
        <comment>{n} actions</comment>
        <translation>
            <numerusform>동작 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>{minutes}:{seconds:02d} min</source>
        <extracomment>The list leaves out what names begin with if it is this long, and if so much of each name is left. Notes that a tooltip shows.</extracomment>
        <translation>{minutes}:{seconds:02d}분</translation>
    </message>
    <message>
        <source>IoU below {limit}</source>
        <extracomment>Words of the filter for what holds or does not hold of an image. Numbers that the filter compares, as in ``iou&lt;0.5`` or ``minutes:2..5``. Those of 0 to 1 that the window shows in per cent: a number above 1 is per cent here, too. A word, or one with a text in quotation marks: ``note:&quot;soft border&quot;``. Scores that the menu offers as limits.</extracomment>
        <translation>IoU {limit} 미만</translation>
    </message>
    <message>
        <source>neither reviewed nor rejected</source>
        <extracomment>Classes that the menu offers; more are typed.</extracomment>
        <translation>검토도 반려도 안 됨</translation>
    </message>
    <message>
        <source>with a note</source>
        <translation>메모 있음</translation>
    </message>
    <message>
        <source>same name</source>
        <extracomment>What a class of a source can become besides a class of the project: not decided, a new class, void.</extracomment>
        <translation>같은 이름</translation>
    </message>
    <message>
        <source>synonym</source>
        <translation>동의어</translation>
    </message>
    <message>
        <source>same id</source>
        <translation>같은 ID</translation>
    </message>
    <message>
        <source>your choice</source>
        <translation>사용자 선택</translation>
    </message>
    <message>
        <source>stated by the format</source>
        <translation>형식에 명시됨</translation>
    </message>
    <message>
        <source>the class was edited</source>
        <translation>클래스를 편집함</translation>
    </message>
    <message>
        <source>{count} of {images} have labels.</source>
        <translation>{images} 중 {count}개에 라벨이 있습니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} label file belongs to no image.</source>
        <comment>{n} label files belong to no image.</comment>
        <translation>
            <numerusform>라벨 파일 {n}개는 어느 이미지에도 속하지 않습니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} file is not read.</source>
        <comment>{n} files are not read.</comment>
        <translation>
            <numerusform>파일 {n}개는 읽지 않습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>No image has labels there: names are compared with and without their folders.</source>
        <translation>라벨이 있는 이미지가 없습니다. 이름을 폴더까지 포함해서도, 빼고도 비교했습니다.</translation>
    </message>
    <message>
        <source>The source has no labels for this image.</source>
        <translation>원본에 이 이미지의 라벨이 없습니다.</translation>
    </message>
    <message>
        <source>Images that took labels</source>
        <translation>라벨을 받은 이미지</translation>
    </message>
    <message>
        <source>Images that had these labels already</source>
        <translation>이미 같은 라벨이던 이미지</translation>
    </message>
    <message>
        <source>Images that took nothing, because their pixels are kept</source>
        <translation>픽셀이 유지되어 아무것도 받지 않은 이미지</translation>
    </message>
    <message>
        <source>Images that kept the mask that you reviewed</source>
        <translation>검토한 마스크를 유지한 이미지</translation>
    </message>
    <message>
        <source>Images that the import did not reach</source>
        <translation>가져오기가 이르지 못한 이미지</translation>
    </message>
    <message>
        <source>Images that failed</source>
        <translation>실패한 이미지</translation>
    </message>
    <message>
        <source>Images without labels in the source</source>
        <translation>원본에 라벨이 없는 이미지</translation>
    </message>
    <message>
        <source>Labelled pixels</source>
        <translation>라벨이 있는 픽셀</translation>
    </message>
    <message>
        <source>Pixels without a label, now {name}</source>
        <translation>라벨 없는 픽셀, 지금은 {name}</translation>
    </message>
    <message>
        <source>Pixels of several classes; the format&apos;s order decided</source>
        <translation>여러 클래스에 속한 픽셀. 형식의 순서로 정함</translation>
    </message>
    <message>
        <source>Pixels that you set and that were kept</source>
        <translation>사용자가 정해 유지된 픽셀</translation>
    </message>
    <message>
        <source>Pixels that a locked class kept</source>
        <translation>잠긴 클래스가 유지한 픽셀</translation>
    </message>
    <message>
        <source>Objects told apart in the source that masks do not tell apart</source>
        <translation>원본에서는 구별되지만 마스크로는 구별되지 않는 객체</translation>
    </message>
    <message>
        <source>No pixel of this class came in.</source>
        <translation>이 클래스의 픽셀은 들어오지 않았습니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} image failed</source>
        <comment>{n} images failed</comment>
        <translation>
            <numerusform>이미지 {n}개 실패</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} remark</source>
        <comment>{n} remarks</comment>
        <translation>
            <numerusform>참고 사항 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>{format} from {name}</source>
        <translation>{name}의 {format}</translation>
    </message>
    <message>
        <source>labelled: {pixels}</source>
        <translation>라벨 있음: {pixels}</translation>
    </message>
    <message>
        <source>in several classes: {pixels}</source>
        <translation>여러 클래스에 속함: {pixels}</translation>
    </message>
    <message numerus="yes">
        <source>{n} part is not read</source>
        <comment>{n} parts are not read</comment>
        <translation>
            <numerusform>읽지 않은 부분 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>Names that differ in case, spaces and punctuation alone became this class: {names}.</source>
        <translation>대소문자, 공백, 문장 부호만 다른 이름이 이 클래스가 되었습니다: {names}.</translation>
    </message>
    <message>
        <source>{count} px ({share})</source>
        <translation>{count} px({share})</translation>
    </message>
    <message numerus="yes">
        <source>{text} {n} time.</source>
        <comment>{text} {n} times, first here.</comment>
        <translation>
            <numerusform>{text} {n}번.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{text} {n} time.</source>
        <comment>{text} {n} times.</comment>
        <translation>
            <numerusform>{text} {n}번.</numerusform>
        </translation>
    </message>
    <message>
        <source>{yours} / {theirs}: {pixels}</source>
        <extracomment>Pairs of classes that a line names.</extracomment>
        <translation>{yours} / {theirs}: {pixels}</translation>
    </message>
    <message numerus="yes">
        <source>{n} more pair</source>
        <comment>{n} more pairs</comment>
        <translation>
            <numerusform>쌍 {n}개 더</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image waits until its classes are decided.</source>
        <comment>{n} images wait until their classes are decided.</comment>
        <translation>
            <numerusform>이미지 {n}개는 클래스를 정할 때까지 기다립니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The other user labelled {n} of your images.</source>
        <comment>The other user labelled {n} of your images.</comment>
        <translation>
            <numerusform>다른 사용자가 이미지 {n}개에 라벨을 만들었습니다.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} of them gets labels of the other user</source>
        <comment>{n} of them get labels of the other user</comment>
        <translation>
            <numerusform>그중 {n}개가 다른 사용자의 라벨을 받습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>{gets}: {pixels}.</source>
        <translation>{gets}: {pixels}.</translation>
    </message>
    <message>
        <source>The other user has no label that yours lack.</source>
        <translation>다른 사용자에게만 있는 라벨이 없습니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} image has a conflict.</source>
        <comment>{n} images have conflicts.</comment>
        <translation>
            <numerusform>이미지 {n}개에 충돌이 있습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>Merge adds to your classes: {names}.</source>
        <translation>병합하면 내 클래스에 추가됨: {names}.</translation>
    </message>
    <message>
        <source>There is no image that both users worked on, so there is nothing to compare.</source>
        <translation>두 사용자가 모두 작업한 이미지가 없어 비교할 것이 없습니다.</translation>
    </message>
    <message>
        <source>{images}: both users agree on {share} of the pixels that both labelled; Cohen&apos;s kappa is {kappa}.</source>
        <translation>{images}: 둘 다 라벨을 만든 픽셀의 {share}이(가) 일치합니다. 코언의 카파는 {kappa}입니다.</translation>
    </message>
    <message>
        <source>{title}: found in the ground truth</source>
        <translation>{title}: 정답에서 찾음</translation>
    </message>
    <message>
        <source>Those of the labels in {name}</source>
        <translation>{name}에 있는 라벨의 클래스</translation>
    </message>
    <message>
        <source>Those listed in {name}</source>
        <translation>{name}에 나열된 클래스</translation>
    </message>
    <message>
        <source>{title}: as you named them</source>
        <translation>{title}: 지정한 대로</translation>
    </message>
    <message>
        <source>Typed names</source>
        <translation>입력한 이름</translation>
    </message>
    <message>
        <source>Those of the model {name}</source>
        <translation>모델 {name}의 클래스</translation>
    </message>
    <message>
        <source>Object and background</source>
        <translation>객체와 배경</translation>
    </message>
    <message>
        <source>You can add, rename and merge classes at any time.</source>
        <translation>클래스는 언제든 추가하고, 이름을 바꾸고, 병합할 수 있습니다.</translation>
    </message>
    <message>
        <source>{refused} of {sampled} ground truth files that were checked cannot be read in these classes.</source>
        <translation>확인한 정답 파일 {sampled}개 중 {refused}개를 이 클래스로 읽을 수 없습니다.</translation>
    </message>
    <message>
        <source>Undeclared ids: {ids}.</source>
        <translation>선언되지 않은 ID: {ids}.</translation>
    </message>
    <message>
        <source>Fits the ground truth: {classes} of {count} classes occur in {sampled}.</source>
        <translation>정답에 맞습니다: {sampled}에 클래스 {count}개 중 {classes}개가 나옵니다.</translation>
    </message>
    <message numerus="yes">
        <source>the checked file</source>
        <comment>{n} checked files</comment>
        <translation>
            <numerusform>확인한 파일 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>The masks that were found are made in {title}, so they are not taken.</source>
        <translation>찾은 마스크는 {title}(으)로 만들어져 사용하지 않습니다.</translation>
    </message>
    <message>
        <source>At &apos;Start from&apos; their classes are matched by name. Choose them here to read their ids in these classes.</source>
        <translation>&apos;시작점&apos;에서 클래스를 이름으로 연결합니다. ID를 이 클래스로 읽으려면 여기서 고르세요.</translation>
    </message>
    <message>
        <source>These masks are made in {title}: metrics take their ids for other classes.</source>
        <translation>이 마스크는 {title}(으)로 만들어졌습니다. 지표가 ID를 다른 클래스로 받아들입니다.</translation>
    </message>
    <message>
        <source>Several folders may be the ground truth.</source>
        <translation>정답일 수 있는 폴더가 여러 개입니다.</translation>
    </message>
    <message>
        <source>the folder of the images</source>
        <translation>이미지 폴더</translation>
    </message>
    <message>
        <source>{name}: not looked at, {size}</source>
        <translation>{name}: 살펴보지 않음, {size}</translation>
    </message>
    <message>
        <source>{format} in {name}</source>
        <translation>{name}의 {format}</translation>
    </message>
    <message>
        <source>Masks in {name}</source>
        <translation>{name}의 마스크</translation>
    </message>
    <message>
        <source>Images begin with the model&apos;s prediction, or empty.</source>
        <translation>이미지는 모델의 예측으로, 또는 빈 상태로 시작합니다.</translation>
    </message>
    <message>
        <source>{name} has {size} and was not looked at: choose it to read its labels.</source>
        <translation>{name}은(는) {size}(이)라서 살펴보지 않았습니다. 라벨을 읽으려면 고르세요.</translation>
    </message>
    <message>
        <source>No class here for {names}: you are asked before the import.</source>
        <translation>{names}에 해당하는 클래스가 없습니다. 가져오기 전에 묻습니다.</translation>
    </message>
    <message>
        <source>Every class of the labels has a partner.</source>
        <translation>라벨의 모든 클래스에 대응이 있습니다.</translation>
    </message>
    <message>
        <source>Images begin empty. You can run a model at any time.</source>
        <translation>이미지는 빈 상태로 시작합니다. 모델은 언제든 실행할 수 있습니다.</translation>
    </message>
    <message>
        <source>The model is being loaded…</source>
        <translation>모델을 불러오는 중…</translation>
    </message>
    <message>
        <source>Every class of the model has a partner.</source>
        <translation>모델의 모든 클래스에 대응이 있습니다.</translation>
    </message>
    <message>
        <source>None of the model&apos;s objects has a class here: it would predict void or background only.</source>
        <translation>모델의 객체 중 여기에 클래스가 있는 것이 없습니다. void나 배경만 예측하게 됩니다.</translation>
    </message>
    <message numerus="yes">
        <source>{n} class of the model has no partner and becomes void: {names}.</source>
        <comment>{n} classes of the model have no partner and become void: {names}.</comment>
        <translation>
            <numerusform>모델의 클래스 {n}개는 대응이 없어 void가 됩니다: {names}.</numerusform>
        </translation>
    </message>
    <message>
        <source>{names} and {more} more</source>
        <translation>{names} 그 밖에 {more}개</translation>
    </message>
    <message>
        <source>whole image</source>
        <translation>이미지 전체</translation>
    </message>
    <message>
        <source>at {x}, {y}</source>
        <translation>{x}, {y}</translation>
    </message>
    <message>
        <source>{width} × {height} px at {x}, {y}</source>
        <translation>{x}, {y}에서 {width} × {height} px</translation>
    </message>
    <message>
        <source>reading the model</source>
        <extracomment>Part of the free memory that the weights of compared models may take; the rest is for the forward passes.</extracomment>
        <translation>모델 읽는 중</translation>
    </message>
    <message>
        <source>this model cannot learn</source>
        <translation>이 모델은 학습할 수 없습니다</translation>
    </message>
    <message>
        <source>it is a finished graph without trainable weights</source>
        <translation>학습할 가중치가 없는 완성된 그래프입니다</translation>
    </message>
    <message>
        <source>Choose a model of safetensors or PyTorch weights, then learn again</source>
        <translation>safetensors나 PyTorch 가중치 모델을 고른 뒤 다시 학습하세요</translation>
    </message>
    <message>
        <source>the click network does not fit into memory</source>
        <extracomment>What tells whether a file is the one that was loaded: path, size and time of its last change.</extracomment>
        <translation>클릭 네트워크가 메모리에 들어가지 않습니다</translation>
    </message>
    <message>
        <source>Choose a smaller click network, or the CPU as device</source>
        <translation>더 작은 클릭 네트워크를 고르거나 장치를 CPU로 바꾸세요</translation>
    </message>
    <message>
        <source>encoding the image</source>
        <translation>이미지 인코딩 중</translation>
    </message>
    <message>
        <source>the image has another size than its mask</source>
        <translation>이미지와 마스크의 크기가 다릅니다</translation>
    </message>
    <message>
        <source>reading the click network</source>
        <translation>클릭 네트워크 읽는 중</translation>
    </message>
    <message>
        <source>{model} was removed from memory and is read again when needed.</source>
        <translation>{model}을(를) 메모리에서 내렸습니다. 필요할 때 다시 읽습니다.</translation>
    </message>
    <message>
        <source>reading</source>
        <translation>읽는 중</translation>
    </message>
    <message>
        <source>the image has another size than when it was predicted</source>
        <extracomment>A quick result has at most so many pixels, and its mean field runs on at most so many. The mean field around a stroke runs on at most so many pixels: longer strokes are refined at a smaller scale, and the correction is carried up. Images with kept picture and lattices; of a large one only itself.</extracomment>
        <translation>이미지 크기가 예측할 때와 다릅니다</translation>
    </message>
    <message>
        <source>The mask has only one class: there is nothing to refine.</source>
        <translation>마스크에 클래스가 하나뿐이라 정제할 것이 없습니다.</translation>
    </message>
    <message>
        <source>Learning from corrections</source>
        <extracomment>Subjects that only torch can answer, as :func:`require_torch` names them.</extracomment>
        <translation>수정에서 학습하기</translation>
    </message>
    <message>
        <source>The receptive field</source>
        <translation>수용 영역</translation>
    </message>
    <message>
        <source>the compute process met an error in Atrous itself</source>
        <translation>계산 프로세스에서 Atrous 자체의 오류가 발생했습니다</translation>
    </message>
    <message>
        <source>Copy the report from the log and send it to the developers; other images are not affected</source>
        <translation>로그에서 보고서를 복사해 개발자에게 보내 주세요. 다른 이미지에는 영향이 없습니다</translation>
    </message>
    <message>
        <source>no model is loaded</source>
        <translation>불러온 모델이 없습니다</translation>
    </message>
    <message>
        <source>Choose a model in the Model panel, then predict again</source>
        <translation>모델 패널에서 모델을 고른 뒤 다시 예측하세요</translation>
    </message>
    <message>
        <source>the image does not fit into memory</source>
        <translation>이미지가 메모리에 들어가지 않습니다</translation>
    </message>
    <message>
        <source>the ground truths of the two reports have no class in common</source>
        <extracomment>Draws of a comparison: enough for Holm&apos;s correction of 150 classes. Names listed in a sentence.</extracomment>
        <translation>두 보고서의 정답에 공통된 클래스가 없습니다</translation>
    </message>
    <message>
        <source>The reports are of the catalogs &apos;{old}&apos; and &apos;{new}&apos;</source>
        <translation>보고서의 카탈로그는 &apos;{old}&apos;와(과) &apos;{new}&apos;입니다</translation>
    </message>
    <message>
        <source>Evaluate both predictions with the same classes and ground truth</source>
        <translation>두 예측을 같은 클래스와 정답으로 평가하세요</translation>
    </message>
    <message>
        <source>the reports have {keys} in common</source>
        <translation>보고서에 공통으로 {keys}이(가) 있습니다</translation>
    </message>
    <message>
        <source>Images belong together by their names</source>
        <translation>이미지는 이름으로 짝을 맞춥니다</translation>
    </message>
    <message>
        <source>Compare reports of the same images</source>
        <translation>같은 이미지의 보고서를 비교하세요</translation>
    </message>
    <message>
        <source>Evaluate the image again</source>
        <extracomment>Components listed per cell and image; the others are counted. Components listed per image. No image has so many components that their list is larger, unpacked. One row per component: ids, box, pixels, centroid, one pixel of it, pixels of each kind of failure; number of the object of the truth that misses it, and of the one with the predicted region it belongs to, 0 for none; pixels in each slice of the pixel axes. Sixteen bits hold coordinates up to 65,535.</extracomment>
        <translation>이미지를 다시 평가하세요</translation>
    </message>
    <message>
        <source>stored error components are damaged</source>
        <translation>저장된 오류 성분이 손상되었습니다</translation>
    </message>
    <message>
        <source>{name} of &apos;{catalog}&apos; must be a {dtype} map</source>
        <translation>&apos;{catalog}&apos;의 {name}은(는) {dtype} 맵이어야 합니다</translation>
    </message>
    <message>
        <source>It holds {dtype}</source>
        <translation>{dtype}입니다</translation>
    </message>
    <message>
        <source>the prediction is {width} x {height} px, its truth {truth_width} x {truth_height} px</source>
        <translation>예측은 {width} x {height} px, 정답은 {truth_width} x {truth_height} px입니다</translation>
    </message>
    <message numerus="yes">
        <source>Only {n} image of run &apos;{name}&apos; is compared: whether its ground truth has changed is not known.</source>
        <comment>Only {n} images of run &apos;{name}&apos; are compared: whether its ground truth has changed is not known.</comment>
        <translation>
            <numerusform>실행 &apos;{name}&apos;의 이미지 {n}개만 비교했습니다. 정답이 바뀌었는지는 알 수 없습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>The ground truth has changed since run &apos;{name}&apos; was kept: its own figures are of another one than this comparison.</source>
        <translation>실행 &apos;{name}&apos;을(를) 보관한 뒤 정답이 바뀌었습니다. 실행 자체의 수치는 이 비교와 다른 정답에서 나왔습니다.</translation>
    </message>
    <message>
        <source>output stride {stride}</source>
        <translation>출력 스트라이드 {stride}</translation>
    </message>
    <message>
        <source>scales {scales}</source>
        <translation>배율 {scales}</translation>
    </message>
    <message>
        <source>resize {resize}</source>
        <translation>크기 조정 {resize}</translation>
    </message>
    <message>
        <source>engine {name}</source>
        <translation>엔진 {name}</translation>
    </message>
    <message>
        <source>threshold {value}</source>
        <translation>임계값 {value}</translation>
    </message>
    <message>
        <source>Predict at the size of the photograph; masks are never resized</source>
        <translation>이미지 크기로 예측하세요. 마스크 크기는 조정하지 않습니다</translation>
    </message>
    <message>
        <source>no prediction here has a truth of the same name</source>
        <extracomment>Band widths in px that are reported one by one; the curve always has all forty. Threads that count by default: each holds the masks of two images.
----------
Ending of stored confidences, 255 x the largest probability (``atrous predict --save-confidence``). Threads that analyse by default. Images of more pixels are compared one at a time.</extracomment>
        <translation>이름이 같은 정답이 있는 예측이 없습니다</translation>
    </message>
    <message>
        <source>{predictions} predictions, {truths} truth files in {folders}</source>
        <translation>{folders}에 예측 {predictions}개, 정답 파일 {truths}개</translation>
    </message>
    <message>
        <source>Prediction and truth belong together by their file names</source>
        <translation>예측과 정답은 파일 이름으로 짝을 맞춥니다</translation>
    </message>
    <message>
        <source>a threshold is for two classes; &apos;{catalog}&apos; has {count}</source>
        <translation>임계값은 2클래스용인데 &apos;{catalog}&apos;에는 {count}개가 있습니다</translation>
    </message>
    <message>
        <source>Leave the threshold out</source>
        <translation>임계값을 빼세요</translation>
    </message>
    <message>
        <source>this mask has no confidence map beside it, so no other threshold can be measured</source>
        <translation>이 마스크 옆에 신뢰도 맵이 없어 다른 임계값을 측정할 수 없습니다</translation>
    </message>
    <message>
        <source>Predict with --save-confidence</source>
        <translation>--save-confidence로 예측하세요</translation>
    </message>
    <message numerus="yes">
        <source>has ground truth in an unknown frame</source>
        <comment>have ground truth in an unknown frame</comment>
        <extracomment>Pairs that were not compared again.</extracomment>
        <translation>
            <numerusform>정답의 방향을 알 수 없습니다</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>is in another frame than its ground truth</source>
        <comment>are in another frame than their ground truth</comment>
        <translation>
            <numerusform>정답과 방향이 다릅니다</numerusform>
        </translation>
    </message>
    <message>
        <source>The truth is {truth}</source>
        <translation>정답은 {truth}입니다</translation>
    </message>
    <message>
        <source>The truth is {truth}, and one of the two may be turned by the photograph&apos;s EXIF tag</source>
        <translation>정답은 {truth}이며, 둘 중 하나가 이미지의 EXIF 태그에 따라 회전되었을 수 있습니다</translation>
    </message>
    <message>
        <source>Name the photographs with --images: both masks are then turned as the photograph is displayed</source>
        <translation>--images로 이미지를 지정하세요. 두 마스크를 모두 이미지가 표시되는 방향으로 돌립니다</translation>
    </message>
    <message>
        <source>there is nothing to rank these masks by</source>
        <translation>이 마스크의 순위를 정할 기준이 없습니다</translation>
    </message>
    <message>
        <source>There is no NAME{suffix} beside them, and no second folder was named</source>
        <translation>옆에 NAME{suffix}이(가) 없고, 두 번째 폴더도 지정되지 않았습니다</translation>
    </message>
    <message>
        <source>Predict with --save-confidence, or name a folder of other masks with --second</source>
        <translation>--save-confidence로 예측하거나 --second로 다른 마스크 폴더를 지정하세요</translation>
    </message>
    <message>
        <source>it is {other_size}, its partner {size}</source>
        <translation>{other_size}인데 짝은 {size}입니다</translation>
    </message>
    <message>
        <source>Masks are never resized; make both at the size of the photograph</source>
        <translation>마스크 크기는 조정하지 않습니다. 둘 다 이미지 크기로 만드세요</translation>
    </message>
    <message>
        <source>it is empty</source>
        <extracomment>Slices of a column that are made of its values.</extracomment>
        <translation>비어 있습니다</translation>
    </message>
    <message>
        <source>two columns have one name, or a column has none</source>
        <translation>두 열의 이름이 같거나 이름 없는 열이 있습니다</translation>
    </message>
    <message>
        <source>its columns are {columns}; needed is &apos;image&apos;, and for objects &apos;x&apos; and &apos;y&apos; too</source>
        <translation>열은 {columns}입니다. &apos;image&apos;가, 객체에는 &apos;x&apos;와 &apos;y&apos;도 필요합니다</translation>
    </message>
    <message>
        <source>it has no column beside those that name the image or object</source>
        <translation>이미지나 객체를 가리키는 열밖에 없습니다</translation>
    </message>
    <message>
        <source>row {number} has {fields}, the first {first}</source>
        <translation>{number}행은 {fields}, 첫 행은 {first}입니다</translation>
    </message>
    <message>
        <source>it describes {name} twice</source>
        <translation>{name}이(가) 두 번 나옵니다</translation>
    </message>
    <message>
        <source>row {number} describes the pixel {x}, {y} of {name} again</source>
        <translation>{number}행에 {name}의 픽셀 {x}, {y}이(가) 다시 나옵니다</translation>
    </message>
    <message>
        <source>in row {number}, &apos;{value}&apos; is not a whole pixel</source>
        <translation>{number}행의 &apos;{value}&apos;은(는) 정수 픽셀이 아닙니다</translation>
    </message>
    <message>
        <source>these attributes cannot be used</source>
        <translation>이 속성은 사용할 수 없습니다</translation>
    </message>
    <message>
        <source>Write a CSV whose first row names its columns: image, one for each attribute, and x and y for objects</source>
        <translation>첫 행에 열 이름이 있는 CSV로 쓰세요: image, 속성마다 하나, 객체에는 x와 y도</translation>
    </message>
    <message>
        <source>a column &apos;{name}&apos; is in two tables</source>
        <translation>&apos;{name}&apos; 열이 두 표에 있습니다</translation>
    </message>
    <message>
        <source>Write it with &apos;atrous evaluate --json&apos;</source>
        <extracomment>Largest report that is read, bytes: one of 10,000 images has some 50 MB.</extracomment>
        <translation>&apos;atrous evaluate --json&apos;으로 쓰세요</translation>
    </message>
    <message>
        <source>the trimap curve of {name} cannot be drawn in this report</source>
        <translation>{name}의 트라이맵 곡선을 이 보고서에 그릴 수 없습니다</translation>
    </message>
    <message>
        <source>Its band is &apos;{own_rule}&apos; around the {own_around}, the report&apos;s &apos;{rule}&apos; around the {around}</source>
        <translation>그 밴드는 {own_around} 주변의 &apos;{own_rule}&apos;, 보고서는 {around} 주변의 &apos;{rule}&apos;입니다</translation>
    </message>
    <message>
        <source>Evaluate both with the same --band-rule</source>
        <translation>둘을 같은 --band-rule로 평가하세요</translation>
    </message>
    <message>
        <source>Its format is {found}; this program reads {expected}</source>
        <translation>형식이 {found}입니다. 이 프로그램은 {expected}을(를) 읽습니다</translation>
    </message>
    <message>
        <source>this is not a report that can be compared</source>
        <translation>비교할 수 있는 보고서가 아닙니다</translation>
    </message>
    <message>
        <source>the report is damaged</source>
        <translation>보고서가 손상되었습니다</translation>
    </message>
    <message>
        <source>the masks have changed since they were compared</source>
        <extracomment>Long side of a picture, px: sharp at twice the size that it is shown at.</extracomment>
        <translation>비교한 뒤에 마스크가 바뀌었습니다</translation>
    </message>
    <message>
        <source>the photograph cannot be encoded for the report</source>
        <translation>보고서에 넣을 이미지를 인코딩할 수 없습니다</translation>
    </message>
    <message>
        <source>the opacity is {value}</source>
        <extracomment>One mask, or several of the same images in the same order. Name of a built-in catalog, a file of classes, or a catalog.</extracomment>
        <translation>불투명도가 {value}입니다</translation>
    </message>
    <message>
        <source>Give a number from 0 to 1</source>
        <translation>0에서 1 사이의 수를 지정하세요</translation>
    </message>
    <message>
        <source>{truths} masks of ground truth, {predictions} of predictions</source>
        <translation>정답 마스크 {truths}개, 예측 마스크 {predictions}개</translation>
    </message>
    <message>
        <source>Give both for the same images, in the same order</source>
        <translation>둘을 같은 이미지에 대해 같은 순서로 주세요</translation>
    </message>
    <message>
        <source>the sizes differ: {one} and {other}</source>
        <translation>크기가 다릅니다: {one}, {other}</translation>
    </message>
    <message>
        <source>Bring both to one size; masks by nearest neighbour only</source>
        <translation>둘을 같은 크기로 맞추세요. 마스크는 최근접 이웃으로만 하세요</translation>
    </message>
    <message>
        <source>the {what} holds ids from {low} to {high}</source>
        <translation>{what}의 ID가 {low}에서 {high}까지입니다</translation>
    </message>
    <message>
        <source>Ids lie between 0 and {ignore}, which is void</source>
        <translation>ID는 0에서 {ignore} 사이이며 {ignore}은(는) void입니다</translation>
    </message>
    <message>
        <source>Set void to {ignore}</source>
        <translation>void를 {ignore}(으)로 설정하세요</translation>
    </message>
    <message>
        <source>the {what} must be an array, not a path</source>
        <translation>{what}은(는) 경로가 아니라 배열이어야 합니다</translation>
    </message>
    <message>
        <source>Read the file first, as deeplab_core.images and deeplab_core.masks do</source>
        <translation>먼저 deeplab_core.images와 deeplab_core.masks처럼 파일을 읽으세요</translation>
    </message>
    <message>
        <source>the {what} must be an array, not {kind}</source>
        <translation>{what}은(는) {kind}이(가) 아니라 배열이어야 합니다</translation>
    </message>
    <message>
        <source>Give a numpy array or a torch tensor</source>
        <translation>numpy 배열이나 torch 텐서를 주세요</translation>
    </message>
    <message>
        <source>the {what} has an axis too many: {shape}</source>
        <translation>{what}에 축이 하나 더 있습니다: {shape}</translation>
    </message>
    <message>
        <source>It is (H, W), one class id per pixel</source>
        <translation>(H, W)이며 픽셀마다 클래스 ID 하나입니다</translation>
    </message>
    <message>
        <source>Remove the axis of length 1 with squeeze()</source>
        <translation>squeeze()로 길이 1인 축을 없애세요</translation>
    </message>
    <message>
        <source>the {what} is {shape}</source>
        <translation>{what}이(가) {shape}입니다</translation>
    </message>
    <message>
        <source>Of scores by class take the largest: scores.argmax(0)</source>
        <translation>클래스별 점수라면 가장 큰 것을 고르세요: scores.argmax(0)</translation>
    </message>
    <message>
        <source>the {what} holds {dtype} numbers</source>
        <translation>{what}의 값이 {dtype}입니다</translation>
    </message>
    <message>
        <source>Class ids are whole numbers</source>
        <translation>클래스 ID는 정수입니다</translation>
    </message>
    <message>
        <source>Convert them with astype(numpy.uint8) if they are ids</source>
        <translation>ID가 맞다면 astype(numpy.uint8)로 바꾸세요</translation>
    </message>
    <message>
        <source>Give red, green and blue for every pixel: (H, W, 3)</source>
        <translation>픽셀마다 빨강, 초록, 파랑을 주세요: (H, W, 3)</translation>
    </message>
    <message>
        <source>Move the channels to the end: numpy.moveaxis(image, 0, -1)</source>
        <translation>채널을 끝으로 옮기세요: numpy.moveaxis(image, 0, -1)</translation>
    </message>
    <message>
        <source>Take the image out of its batch: image[0]</source>
        <translation>배치에서 이미지를 꺼내세요: image[0]</translation>
    </message>
    <message>
        <source>It is (H, W, 3) uint8</source>
        <translation>(H, W, 3) uint8입니다</translation>
    </message>
    <message>
        <source>the {what} is empty: {shape}</source>
        <translation>{what}이(가) 비어 있습니다: {shape}</translation>
    </message>
    <message>
        <source>Give an image (H, W, 3) with pixels</source>
        <translation>픽셀이 있는 이미지(H, W, 3)를 주세요</translation>
    </message>
    <message>
        <source>Scale values of 0 to 1 with (255 * image).round().astype(numpy.uint8)</source>
        <translation>0에서 1 사이 값은 (255 * image).round().astype(numpy.uint8)로 바꾸세요</translation>
    </message>
    <message>
        <source>the {what} have an axis for the batch: {shape}</source>
        <translation>{what}에 배치 축이 있습니다: {shape}</translation>
    </message>
    <message>
        <source>Take them out of their batch: probabilities[0]</source>
        <translation>배치에서 꺼내세요: probabilities[0]</translation>
    </message>
    <message>
        <source>the {what} are {shape}, classes last</source>
        <translation>{what}이(가) {shape}이며 클래스가 마지막입니다</translation>
    </message>
    <message>
        <source>They are (C, H, W)</source>
        <translation>(C, H, W)여야 합니다</translation>
    </message>
    <message>
        <source>Move the classes to the front: numpy.moveaxis(probabilities, -1, 0)</source>
        <translation>클래스를 앞으로 옮기세요: numpy.moveaxis(probabilities, -1, 0)</translation>
    </message>
    <message>
        <source>the {what} are {shape}, the image {size}</source>
        <translation>{what}은(는) {shape}, 이미지는 {size}입니다</translation>
    </message>
    <message>
        <source>They are (C, H, W), at least two classes, at the image&apos;s size</source>
        <translation>(C, H, W)이고, 클래스가 두 개 이상이며, 이미지 크기여야 합니다</translation>
    </message>
    <message>
        <source>Resize the scores to the image before the softmax</source>
        <translation>소프트맥스 전에 점수를 이미지 크기로 조정하세요</translation>
    </message>
    <message>
        <source>the {what} lie between {low} and {high}</source>
        <translation>{what}이(가) {low}에서 {high} 사이입니다</translation>
    </message>
    <message>
        <source>Probabilities lie between 0 and 1</source>
        <translation>확률은 0에서 1 사이입니다</translation>
    </message>
    <message>
        <source>Apply the softmax over the classes first</source>
        <translation>먼저 클래스 방향으로 소프트맥스를 적용하세요</translation>
    </message>
    <message>
        <source>the file cannot be written</source>
        <translation>파일을 쓸 수 없습니다</translation>
    </message>
    <message>
        <source>Free some space, then save again</source>
        <translation>공간을 확보한 뒤 다시 저장하세요</translation>
    </message>
    <message>
        <source>Your disk quota is used up</source>
        <translation>디스크 할당량을 다 썼습니다</translation>
    </message>
    <message>
        <source>The disk is read-only</source>
        <translation>디스크가 읽기 전용입니다</translation>
    </message>
    <message>
        <source>Choose a folder that can be written</source>
        <translation>쓸 수 있는 폴더를 고르세요</translation>
    </message>
    <message>
        <source>The folder or file may not be written</source>
        <translation>폴더나 파일에 쓸 권한이 없습니다</translation>
    </message>
    <message>
        <source>Choose another folder or ask for the right to write here</source>
        <translation>다른 폴더를 고르거나 쓰기 권한을 요청하세요</translation>
    </message>
    <message>
        <source>The folder does not exist</source>
        <translation>폴더가 없습니다</translation>
    </message>
    <message>
        <source>Create the folder or choose another</source>
        <translation>폴더를 만들거나 다른 폴더를 고르세요</translation>
    </message>
    <message>
        <source>A file of this name is already there</source>
        <translation>같은 이름의 파일이 이미 있습니다</translation>
    </message>
    <message>
        <source>Move that file away, then try again</source>
        <translation>그 파일을 다른 곳으로 옮긴 뒤 다시 시도하세요</translation>
    </message>
    <message>
        <source>There is a folder of this name</source>
        <translation>같은 이름의 폴더가 있습니다</translation>
    </message>
    <message>
        <source>Choose another name</source>
        <translation>다른 이름을 고르세요</translation>
    </message>
    <message>
        <source>The file name is too long for this disk</source>
        <translation>이 디스크에는 파일 이름이 너무 깁니다</translation>
    </message>
    <message>
        <source>Choose a shorter name</source>
        <translation>더 짧은 이름을 고르세요</translation>
    </message>
    <message>
        <source>Save to another disk and check this one</source>
        <translation>다른 디스크에 저장하고 이 디스크를 확인하세요</translation>
    </message>
    <message>
        <source>this is a link, and links are not written through</source>
        <extracomment>Names of the files that :func:`atomic_write` has not finished; a process that is killed leaves its own behind. What systems say of a disk that has no hard links. Images of the folders that are open, by the folder&apos;s real path: names relative to it, with ``/``.</extracomment>
        <translation>링크이며, 링크를 통해서는 쓰지 않습니다</translation>
    </message>
    <message>
        <source>It points to {target}</source>
        <translation>{target}을(를) 가리킵니다</translation>
    </message>
    <message>
        <source>Choose another name, or remove the link</source>
        <translation>다른 이름을 고르거나 링크를 제거하세요</translation>
    </message>
    <message>
        <source>a photograph is never replaced</source>
        <translation>원본 이미지는 바꾸지 않습니다</translation>
    </message>
    <message>
        <source>Its content is that of a photograph, not of a mask</source>
        <translation>내용이 마스크가 아니라 사진입니다</translation>
    </message>
    <message>
        <source>Choose another name or folder, or move this file away yourself</source>
        <translation>다른 이름이나 폴더를 고르거나, 이 파일을 직접 옮기세요</translation>
    </message>
    <message>
        <source>a picture is never replaced by a report</source>
        <translation>보고서로 그림을 바꾸지 않습니다</translation>
    </message>
    <message>
        <source>It holds labels</source>
        <translation>라벨이 들어 있습니다</translation>
    </message>
    <message>
        <source>Atrous wrote it</source>
        <translation>Atrous가 썼습니다</translation>
    </message>
    <message>
        <source>Choose another name, or move this file away yourself</source>
        <translation>다른 이름을 고르거나 이 파일을 직접 옮기세요</translation>
    </message>
    <message>
        <source>this is one of the images of the open folder, and they are never replaced</source>
        <translation>열린 폴더의 이미지이며, 이미지는 바꾸지 않습니다</translation>
    </message>
    <message>
        <source>{folder} lists it as an image</source>
        <translation>{folder} 폴더의 이미지입니다</translation>
    </message>
    <message>
        <source>Choose another name or folder</source>
        <translation>다른 이름이나 폴더를 고르세요</translation>
    </message>
    <message>
        <source>a file of this name is already there, and a link replaces none</source>
        <translation>같은 이름의 파일이 이미 있고, 링크는 파일을 바꾸지 않습니다</translation>
    </message>
    <message>
        <source>Choose another folder, or move that file away</source>
        <translation>다른 폴더를 고르거나 그 파일을 옮기세요</translation>
    </message>
    <message>
        <source>the link cannot be made</source>
        <translation>링크를 만들 수 없습니다</translation>
    </message>
    <message>
        <source>the folder cannot be created</source>
        <translation>폴더를 만들 수 없습니다</translation>
    </message>
    <message>
        <source>Choose another folder or disk, then save again</source>
        <translation>다른 폴더나 디스크를 고른 뒤 다시 저장하세요</translation>
    </message>
    <message>
        <source>the file is write-protected</source>
        <translation>파일이 쓰기 금지되어 있습니다</translation>
    </message>
    <message>
        <source>Remove the protection or choose another name</source>
        <translation>쓰기 금지를 풀거나 다른 이름을 고르세요</translation>
    </message>
    <message>
        <source>a click network has one or two files, not {count}</source>
        <extracomment>Words by which the two files of a pair differ: as samexporter, X-AnyLabeling, osam, optimum and the authors name them.</extracomment>
        <translation>클릭 네트워크는 파일이 하나 또는 둘입니다. {count}개가 아닙니다</translation>
    </message>
    <message>
        <source>several files may be the other half of this click network</source>
        <translation>이 클릭 네트워크의 나머지 절반일 수 있는 파일이 여러 개입니다</translation>
    </message>
    <message>
        <source>Choose both files</source>
        <translation>두 파일을 모두 고르세요</translation>
    </message>
    <message>
        <source>the file of the click network cannot be read</source>
        <translation>클릭 네트워크 파일을 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>click networks are ONNX files, and this is none</source>
        <translation>클릭 네트워크는 ONNX 파일인데 이 파일은 아닙니다</translation>
    </message>
    <message>
        <source>Export the network to ONNX, as docs/correcting.md describes</source>
        <translation>docs/correcting.md의 설명대로 네트워크를 ONNX로 내보내세요</translation>
    </message>
    <message>
        <source>{engine} cannot run this network</source>
        <extracomment>Largest difference of a logit from torch&apos;s, in parts of the logits&apos; range. Sizes, beyond the smallest of a network, at which a graph is compared with torch when it is made: odd, even, not square. torch&apos;s exporter has one state for the whole process; images side by side may ask for their first graph at the same time.</extracomment>
        <translation>{engine}(으)로 이 네트워크를 실행할 수 없습니다</translation>
    </message>
    <message>
        <source>Choose the engine torch</source>
        <translation>엔진을 torch로 고르세요</translation>
    </message>
    <message>
        <source>{engine} gives other numbers than torch</source>
        <translation>{engine}의 수치가 torch와 다릅니다</translation>
    </message>
    <message>
        <source>at {width} x {height} pixels</source>
        <translation>{width} x {height}픽셀에서</translation>
    </message>
    <message>
        <source>this processor has no AMX, or the system does not allow it</source>
        <extracomment>Bytes of weights that a core&apos;s cache holds for sure.</extracomment>
        <translation>이 프로세서에 AMX가 없거나 시스템이 허용하지 않습니다</translation>
    </message>
    <message>
        <source>the engine {engine} has no {precision}</source>
        <translation>엔진 {engine}은(는) {precision}을(를) 지원하지 않습니다</translation>
    </message>
    <message>
        <source>the engine {engine} needs the package onnx</source>
        <translation>엔진 {engine}에는 onnx 패키지가 필요합니다</translation>
    </message>
    <message>
        <source>Run: pip install onnx</source>
        <translation>실행: pip install onnx</translation>
    </message>
    <message>
        <source>the engine {engine} is not installed</source>
        <translation>엔진 {engine}이(가) 설치되어 있지 않습니다</translation>
    </message>
    <message>
        <source>Run: pip install {package}</source>
        <translation>실행: pip install {package}</translation>
    </message>
    <message>
        <source>ONNX Runtime has no {precision} on the CPU</source>
        <translation>ONNX Runtime은 CPU에서 {precision}을(를) 지원하지 않습니다</translation>
    </message>
    <message>
        <source>Choose fp32, or the engine openvino</source>
        <translation>fp32나 엔진 openvino를 고르세요</translation>
    </message>
    <message>
        <source>this processor has no bf16 instructions</source>
        <translation>이 프로세서에는 bf16 명령이 없습니다</translation>
    </message>
    <message>
        <source>Choose fp32</source>
        <translation>fp32를 고르세요</translation>
    </message>
    <message>
        <source>the model is a graph for {engine} already</source>
        <extracomment>Opset written unless another is asked for; every runtime since 2022 (ONNX 1.13) reads it. Largest difference of a logit between torch and ONNX Runtime that a file may have, in standard deviations of the logits. Added to the smallest input of a network for the sizes that an exported file is compared at: odd and even, neither square.</extracomment>
        <translation>모델이 이미 {engine}용 그래프입니다</translation>
    </message>
    <message>
        <source>Copy the file</source>
        <translation>파일을 복사하세요</translation>
    </message>
    <message>
        <source>this model cannot be written as ONNX</source>
        <translation>이 모델은 ONNX로 쓸 수 없습니다</translation>
    </message>
    <message>
        <source>writing ONNX needs libraries that are not installed</source>
        <translation>ONNX를 쓰는 데 필요한 라이브러리가 설치되어 있지 않습니다</translation>
    </message>
    <message>
        <source>Run: pip install onnx onnxscript onnxruntime</source>
        <translation>실행: pip install onnx onnxscript onnxruntime</translation>
    </message>
    <message>
        <source>the network cannot be written as ONNX</source>
        <translation>네트워크를 ONNX로 쓸 수 없습니다</translation>
    </message>
    <message>
        <source>Give --size to write it for one size</source>
        <translation>--size로 한 크기용으로 쓰세요</translation>
    </message>
    <message>
        <source>Save it as safetensors instead</source>
        <translation>대신 safetensors로 저장하세요</translation>
    </message>
    <message>
        <source>the ONNX file gives other numbers than the network; it was not written</source>
        <translation>ONNX 파일의 수치가 네트워크와 달라 쓰지 않았습니다</translation>
    </message>
    <message>
        <source>logits differ by {difference:.2g} at a standard deviation of {deviation:.2g}; {agreement:.2f} % of the labels agree</source>
        <translation>로짓이 {difference:.2g}만큼 다르고(표준 편차 {deviation:.2g}), 라벨의 {agreement:.2f} %가 일치합니다</translation>
    </message>
    <message>
        <source>Try another opset (--opset) or a fixed size (--size)</source>
        <translation>다른 opset(--opset)이나 고정 크기(--size)를 시도하세요</translation>
    </message>
    <message>
        <source>LiteRT cannot open the file</source>
        <translation>LiteRT가 파일을 열 수 없습니다</translation>
    </message>
    <message>
        <source>Download or convert it again</source>
        <translation>다시 내려받거나 변환하세요</translation>
    </message>
    <message>
        <source>LiteRT cannot compute this image</source>
        <translation>LiteRT가 이 이미지를 계산할 수 없습니다</translation>
    </message>
    <message>
        <source>Choose another size or model</source>
        <translation>다른 크기나 모델을 고르세요</translation>
    </message>
    <message>
        <source>a LiteRT file needs the LiteRT library, which is not installed</source>
        <translation>LiteRT 파일에는 LiteRT 라이브러리가 필요한데 설치되어 있지 않습니다</translation>
    </message>
    <message>
        <source>Run: pip install ai-edge-litert</source>
        <translation>실행: pip install ai-edge-litert</translation>
    </message>
    <message>
        <source>this graph gives features of an image, not classes</source>
        <extracomment>Endings that people know these files by; what a file is, its content tells. Entry of a card&apos;s ``extra``: name of the output that is read, of a graph with several. Entry of a card&apos;s ``extra``: smallest side of the images that an exported graph takes. Number of classes -&gt; the catalog that networks of that many classes are nearly always trained on. Input range -1..1, the convention of TensorFlow&apos;s DeepLab and of MobileNets.</extracomment>
        <translation>이 그래프는 클래스가 아니라 이미지의 특징을 냅니다</translation>
    </message>
    <message>
        <source>its output {name} is for the decoder of a click network</source>
        <translation>출력 {name}은(는) 클릭 네트워크의 디코더용입니다</translation>
    </message>
    <message>
        <source>Choose another model</source>
        <translation>다른 모델을 고르세요</translation>
    </message>
    <message>
        <source>the graph gives labels only, and nothing in it tells how many classes it knows</source>
        <translation>그래프가 라벨만 내고, 클래스 수를 알 수 있는 것이 없습니다</translation>
    </message>
    <message>
        <source>Put a model card with its catalog beside it, as {file}</source>
        <translation>카탈로그가 있는 모델 카드를 옆에 {file}(으)로 두세요</translation>
    </message>
    <message>
        <source>this network takes {fixed_width} x {fixed_height} pixels, not {width} x {height}</source>
        <extracomment>Grids coarser than this are those of no known network. Sides that nearly every network with a decoder takes are multiples of this. A graph does not say how far its scores look: as far as any image reaches, so that tiles overlap by the most that is allowed.</extracomment>
        <translation>이 네트워크는 {width} x {height}픽셀이 아니라 {fixed_width} x {fixed_height}픽셀을 받습니다</translation>
    </message>
    <message>
        <source>its graph was written for one size</source>
        <translation>그래프가 한 크기용으로 만들어졌습니다</translation>
    </message>
    <message>
        <source>Choose smaller overlaps of tiles, or the size of its model card</source>
        <translation>타일 겹침을 줄이거나 모델 카드의 크기를 고르세요</translation>
    </message>
    <message>
        <source>the ONNX file is truncated or damaged</source>
        <extracomment>A protocol buffer cannot be larger. Subgraphs nest this deep at most; no exporter comes near it.</extracomment>
        <translation>ONNX 파일이 잘렸거나 손상되었습니다</translation>
    </message>
    <message>
        <source>Download or export it again</source>
        <translation>다시 내려받거나 내보내세요</translation>
    </message>
    <message>
        <source>the ONNX file cannot be read</source>
        <translation>ONNX 파일을 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>the ONNX file points at a file outside its folder; it was not opened</source>
        <translation>ONNX 파일이 폴더 밖의 파일을 가리켜 열지 않았습니다</translation>
    </message>
    <message>
        <source>it refers to weights in {file}</source>
        <translation>{file}의 가중치를 참조합니다</translation>
    </message>
    <message>
        <source>Do not use this file; get it from its authors again</source>
        <translation>이 파일을 쓰지 말고 저자에게서 다시 받으세요</translation>
    </message>
    <message>
        <source>a part of the ONNX file is missing</source>
        <translation>ONNX 파일의 일부가 없습니다</translation>
    </message>
    <message>
        <source>its weights are in {file}</source>
        <translation>가중치가 {file}에 있습니다</translation>
    </message>
    <message>
        <source>Put {file} beside it, as its authors gave it</source>
        <translation>저자가 제공한 {file}을(를) 옆에 두세요</translation>
    </message>
    <message>
        <source>the graph has {count} inputs, not one image</source>
        <extracomment>Operations that end a network without an activation.</extracomment>
        <translation>그래프의 입력이 이미지 하나가 아니라 {count}개입니다</translation>
    </message>
    <message>
        <source>Export it again</source>
        <translation>다시 내보내세요</translation>
    </message>
    <message>
        <source>Choose a size that the network takes (resize and padding on its model card)</source>
        <translation>네트워크가 받는 크기를 고르세요(모델 카드의 크기 조정과 패딩)</translation>
    </message>
    <message>
        <source>ONNX Runtime cannot open the file</source>
        <extracomment>How often a running graph asks whether it is cancelled, in seconds.</extracomment>
        <translation>ONNX Runtime이 파일을 열 수 없습니다</translation>
    </message>
    <message>
        <source>Download or export it again; a newer onnxruntime may know its operations</source>
        <translation>다시 내려받거나 내보내세요. 더 새로운 onnxruntime은 그 연산을 알 수 있습니다</translation>
    </message>
    <message>
        <source>ONNX Runtime cannot compute this image</source>
        <translation>ONNX Runtime이 이 이미지를 계산할 수 없습니다</translation>
    </message>
    <message>
        <source>an ONNX file needs ONNX Runtime, which is not installed</source>
        <translation>ONNX 파일에는 ONNX Runtime이 필요한데 설치되어 있지 않습니다</translation>
    </message>
    <message>
        <source>Run: pip install onnxruntime (onnxruntime-gpu for CUDA)</source>
        <translation>실행: pip install onnxruntime(CUDA는 onnxruntime-gpu)</translation>
    </message>
    <message>
        <source>the graph&apos;s tensor {tensor} is of type {tensor_type}</source>
        <translation>그래프의 텐서 {tensor}의 자료형이 {tensor_type}입니다</translation>
    </message>
    <message>
        <source>the graph answered {size} numbers where scores of {classes} classes were expected</source>
        <extracomment>Input sizes at which a graph of free size is tried, so that its outputs&apos; shapes become known. Not square, so that height and width can be told apart; multiples of 32 first, since some graphs take nothing else.</extracomment>
        <translation>클래스 {classes}개의 점수를 기대했는데 그래프가 수 {size}개를 냈습니다</translation>
    </message>
    <message>
        <source>Correct the catalog in its model card</source>
        <translation>모델 카드의 카탈로그를 고치세요</translation>
    </message>
    <message>
        <source>the graph answered label {label}, its model card lists {classes} classes</source>
        <extracomment>Input channels that an image has: gray, RGB, and RGB with a fourth. Score of the classes that a label rules out, against 0 for the label itself. Smallest probability that is distinguished from 0.</extracomment>
        <translation>그래프가 라벨 {label}을(를) 냈는데 모델 카드에는 클래스가 {classes}개입니다</translation>
    </message>
    <message>
        <source>the graph has no output &apos;{wanted}&apos;</source>
        <extracomment>Names of outputs that are the answer, and of those that only training or other tasks want, as exporters and repositories write. Channels from which an output without a telling name is rather a layer&apos;s features than scores, if there is another one.</extracomment>
        <translation>그래프에 출력 &apos;{wanted}&apos;이(가) 없습니다</translation>
    </message>
    <message>
        <source>it has {names}</source>
        <translation>있는 것: {names}</translation>
    </message>
    <message>
        <source>Choose one of these</source>
        <translation>이 중 하나를 고르세요</translation>
    </message>
    <message>
        <source>not a network for semantic segmentation</source>
        <translation>시맨틱 세그먼테이션용 네트워크가 아닙니다</translation>
    </message>
    <message>
        <source>none of its outputs is a map of class scores or labels: {shapes}</source>
        <translation>클래스 점수나 라벨의 맵인 출력이 없습니다: {shapes}</translation>
    </message>
    <message>
        <source>Export the network with its scores (N, classes, H, W) or labels (N, H, W) as output</source>
        <translation>점수 (N, 클래스, H, W)나 라벨 (N, H, W)를 출력하도록 네트워크를 내보내세요</translation>
    </message>
    <message>
        <source>the graph takes no image of 1 (gray), 3 (RGB) or 4 channels</source>
        <translation>그래프가 1(회색조), 3(RGB), 4채널 이미지를 받지 않습니다</translation>
    </message>
    <message>
        <source>its input {spec} is {size}</source>
        <translation>입력 {spec}은(는) {size}입니다</translation>
    </message>
    <message>
        <source>Export it for one image, (1, 3, H, W) or (1, H, W, 3)</source>
        <translation>이미지 하나용으로 내보내세요: (1, 3, H, W) 또는 (1, H, W, 3)</translation>
    </message>
    <message>
        <source>the graph cannot be run</source>
        <translation>그래프를 실행할 수 없습니다</translation>
    </message>
    <message>
        <source>PASCAL VOC 2012 (21 classes)</source>
        <extracomment>Names of the built-in catalogs, in the order in which choices are shown. Their titles, which are in their files: texts that windows translate.</extracomment>
        <translation>PASCAL VOC 2012 (클래스 21개)</translation>
    </message>
    <message>
        <source>Cityscapes (19 train ids)</source>
        <translation>Cityscapes (학습 ID 19개)</translation>
    </message>
    <message>
        <source>Cityscapes label ids (34 classes)</source>
        <translation>Cityscapes 라벨 ID (클래스 34개)</translation>
    </message>
    <message>
        <source>CamVid (11 classes, SegNet split)</source>
        <translation>CamVid (클래스 11개, SegNet 분할)</translation>
    </message>
    <message>
        <source>ADE20K scene parsing (150 classes)</source>
        <translation>ADE20K 장면 분석 (클래스 150개)</translation>
    </message>
    <message>
        <source>Give one character, or leave it out</source>
        <extracomment>Keys of the first ten classes where a catalog assigns none itself. Endings of class lists that are plain text or a table.</extracomment>
        <translation>한 글자를 지정하거나 비우세요</translation>
    </message>
    <message>
        <source>A catalog has &apos;name&apos; and &apos;classes&apos;; each class has &apos;name&apos;, and may have &apos;id&apos;, &apos;color&apos; ([r, g, b] or &quot;#rrggbb&quot;) and &apos;key&apos;</source>
        <translation>카탈로그에는 &apos;name&apos;과 &apos;classes&apos;가 있습니다. 클래스마다 &apos;name&apos;이 있고 &apos;id&apos;, &apos;color&apos;([r, g, b] 또는 &quot;#rrggbb&quot;), &apos;key&apos;가 있을 수 있습니다</translation>
    </message>
    <message>
        <source>there is no catalog named &apos;{name}&apos;</source>
        <translation>&apos;{name}&apos;이라는 카탈로그가 없습니다</translation>
    </message>
    <message>
        <source>Choose {names}, or give a file that ends in {endings}</source>
        <translation>{names}을(를) 고르거나 {endings}(으)로 끝나는 파일을 지정하세요</translation>
    </message>
    <message>
        <source>Give the file the ending {endings}</source>
        <translation>파일의 확장자를 {endings}(으)로 하세요</translation>
    </message>
    <message>
        <source>this is not a name for {format}</source>
        <translation>{format}에 쓸 수 없는 이름입니다</translation>
    </message>
    <message>
        <source>a catalog is saved as .json or .yaml</source>
        <translation>카탈로그는 .json이나 .yaml로 저장합니다</translation>
    </message>
    <message>
        <source>Give the file one of these endings</source>
        <translation>파일에 이 확장자 중 하나를 붙이세요</translation>
    </message>
    <message>
        <source>the folder of the catalog file does not exist</source>
        <translation>카탈로그 파일의 폴더가 없습니다</translation>
    </message>
    <message>
        <source>Create it or choose another</source>
        <translation>만들거나 다른 폴더를 고르세요</translation>
    </message>
    <message>
        <source>not a class catalog</source>
        <translation>클래스 카탈로그가 아닙니다</translation>
    </message>
    <message>
        <source>It has no list &apos;classes&apos;</source>
        <translation>&apos;classes&apos; 목록이 없습니다</translation>
    </message>
    <message>
        <source>class {position} of the catalog has no name</source>
        <translation>카탈로그의 {position}번째 클래스에 이름이 없습니다</translation>
    </message>
    <message>
        <source>It reads {row}</source>
        <translation>내용: {row}</translation>
    </message>
    <message>
        <source>{label}: the id {class_id} is not a whole number</source>
        <translation>{label}: ID {class_id}은(는) 정수가 아닙니다</translation>
    </message>
    <message>
        <source>{label}: {color} is not a colour</source>
        <translation>{label}: {color}은(는) 색이 아닙니다</translation>
    </message>
    <message>
        <source>{label}: the key {key} is longer than one character</source>
        <translation>{label}: 키 {key}이(가) 한 글자보다 깁니다</translation>
    </message>
    <message>
        <source>catalog &apos;{catalog}&apos;: the void value {void} is also the id of &apos;{class_name}&apos;</source>
        <translation>카탈로그 &apos;{catalog}&apos;: void 값 {void}이(가) &apos;{class_name}&apos;의 ID이기도 합니다</translation>
    </message>
    <message>
        <source>Set &apos;file_ignore&apos; to a value that is not a class id, for example {highest}</source>
        <translation>&apos;file_ignore&apos;를 클래스 ID가 아닌 값으로 설정하세요. 예: {highest}</translation>
    </message>
    <message>
        <source>catalog &apos;{catalog}&apos;: the void value {void} does not fit into a mask file</source>
        <translation>카탈로그 &apos;{catalog}&apos;: void 값 {void}이(가) 마스크 파일에 들어가지 않습니다</translation>
    </message>
    <message>
        <source>Choose &apos;file_ignore&apos; in 0..{highest}</source>
        <translation>&apos;file_ignore&apos;를 0..{highest}에서 고르세요</translation>
    </message>
    <message>
        <source>catalog &apos;{catalog}&apos;: &apos;{other}&apos; and &apos;{class_name}&apos; share the key &apos;{key}&apos;</source>
        <translation>카탈로그 &apos;{catalog}&apos;: &apos;{other}&apos;와(과) &apos;{class_name}&apos;의 키가 &apos;{key}&apos;(으)로 같습니다</translation>
    </message>
    <message>
        <source>Give every key to one class only</source>
        <translation>키마다 한 클래스에만 주세요</translation>
    </message>
    <message>
        <source>catalog &apos;{name}&apos; has no classes</source>
        <extracomment>The value of void/ignore in memory, whatever a catalog&apos;s files use. Ignore for catalogs with more than 254 classes, with uint16 maps.</extracomment>
        <translation>카탈로그 &apos;{name}&apos;에 클래스가 없습니다</translation>
    </message>
    <message>
        <source>List at least one class: id, name and colour</source>
        <translation>클래스를 하나 이상 나열하세요: ID, 이름, 색</translation>
    </message>
    <message>
        <source>catalog &apos;{name}&apos; uses the id {class_id} twice</source>
        <translation>카탈로그 &apos;{name}&apos;이(가) ID {class_id}을(를) 두 번 씁니다</translation>
    </message>
    <message>
        <source>Give every class its own id</source>
        <translation>클래스마다 고유한 ID를 주세요</translation>
    </message>
    <message>
        <source>catalog &apos;{name}&apos;: id {class_id} of &apos;{class_name}&apos; is out of range 0..{highest}</source>
        <translation>카탈로그 &apos;{name}&apos;: &apos;{class_name}&apos;의 ID {class_id}이(가) 0..{highest} 범위를 벗어났습니다</translation>
    </message>
    <message>
        <source>catalog &apos;{name}&apos; has the class &apos;{class_name}&apos; twice</source>
        <translation>카탈로그 &apos;{name}&apos;에 &apos;{class_name}&apos; 클래스가 두 번 있습니다</translation>
    </message>
    <message>
        <source>Give every class its own name</source>
        <translation>클래스마다 고유한 이름을 주세요</translation>
    </message>
    <message>
        <source>catalog &apos;{name}&apos;: the background id {class_id} is not one of its classes</source>
        <translation>카탈로그 &apos;{name}&apos;: 배경 ID {class_id}이(가) 클래스 중에 없습니다</translation>
    </message>
    <message>
        <source>catalog &apos;{name}&apos; has no class with the id {class_id}</source>
        <translation>카탈로그 &apos;{name}&apos;에 ID {class_id}인 클래스가 없습니다</translation>
    </message>
    <message>
        <source>catalog &apos;{name}&apos; says twice what void is</source>
        <extracomment>Names of one class in different data sets. A name maps to another of its row where the project has exactly one of them. What files of labels call void, in lower case.</extracomment>
        <translation>카탈로그 &apos;{name}&apos;이(가) void가 무엇인지 두 번 말합니다</translation>
    </message>
    <message>
        <source>Void means that a pixel has no class: &apos;{class_name}&apos; is not a class name</source>
        <translation>void는 픽셀에 클래스가 없음을 뜻합니다. &apos;{class_name}&apos;은(는) 클래스 이름이 아닙니다</translation>
    </message>
    <message>
        <source>Name void once, or rename the class</source>
        <translation>void를 한 번만 적거나 클래스 이름을 바꾸세요</translation>
    </message>
    <message>
        <source>Add {name}</source>
        <translation>{name} 추가</translation>
    </message>
    <message>
        <source>&apos;{name}&apos; has no other classes than the project</source>
        <translation>&apos;{name}&apos;에 프로젝트에 없는 클래스가 없습니다</translation>
    </message>
    <message>
        <source>Choose another class list</source>
        <translation>다른 클래스 목록을 고르세요</translation>
    </message>
    <message>
        <source>Only the classes of {list}</source>
        <translation>{list}의 클래스만</translation>
    </message>
    <message>
        <source>Classes of {list}</source>
        <translation>{list}의 클래스</translation>
    </message>
    <message>
        <source>Rename {old} to {new}</source>
        <translation>{old} 이름을 {new}(으)로 변경</translation>
    </message>
    <message>
        <source>Colours for colour-blind eyes</source>
        <translation>색각 이상용 색</translation>
    </message>
    <message>
        <source>{key} is not a key</source>
        <translation>{key}은(는) 키가 아닙니다</translation>
    </message>
    <message>
        <source>Give one letter, digit or sign</source>
        <translation>글자, 숫자, 기호 중 하나를 지정하세요</translation>
    </message>
    <message>
        <source>Key {key} for {name}</source>
        <translation>{name}에 {key} 키</translation>
    </message>
    <message>
        <source>No key for {name}</source>
        <translation>{name}에 키 없음</translation>
    </message>
    <message>
        <source>&apos;{class_name}&apos; is named twice</source>
        <translation>&apos;{class_name}&apos;이(가) 두 번 나옵니다</translation>
    </message>
    <message>
        <source>Name every class once</source>
        <translation>클래스마다 한 번만 적으세요</translation>
    </message>
    <message>
        <source>Order of the classes</source>
        <translation>클래스 순서</translation>
    </message>
    <message>
        <source>a class cannot be merged into itself</source>
        <translation>클래스를 자기 자신에 병합할 수 없습니다</translation>
    </message>
    <message>
        <source>Choose another class to merge it into</source>
        <translation>병합할 다른 클래스를 고르세요</translation>
    </message>
    <message>
        <source>Merge {names} into {name}</source>
        <translation>{names}을(를) {name}에 병합</translation>
    </message>
    <message>
        <source>&apos;{class_name}&apos; is the only class</source>
        <translation>&apos;{class_name}&apos;은(는) 유일한 클래스입니다</translation>
    </message>
    <message>
        <source>Rename it, or add another class first</source>
        <translation>이름을 바꾸거나 먼저 다른 클래스를 추가하세요</translation>
    </message>
    <message>
        <source>Delete {name}</source>
        <translation>{name} 삭제</translation>
    </message>
    <message>
        <source>&apos;{catalog}&apos; has no free id for another class</source>
        <translation>&apos;{catalog}&apos;에 다른 클래스에 쓸 빈 ID가 없습니다</translation>
    </message>
    <message>
        <source>Its masks have 8 bits and {count} classes</source>
        <translation>마스크가 8비트이고 클래스가 {count}개입니다</translation>
    </message>
    <message>
        <source>All 65,534 ids are used</source>
        <translation>ID 65,534개를 모두 썼습니다</translation>
    </message>
    <message>
        <source>Begin a new project with a class list of more than 254 classes: its masks have 16 bits</source>
        <translation>클래스가 254개를 넘는 목록으로 새 프로젝트를 시작하세요. 그러면 마스크가 16비트가 됩니다</translation>
    </message>
    <message>
        <source>It is empty</source>
        <translation>비어 있습니다</translation>
    </message>
    <message>
        <source>It is longer than {longest} characters or has characters that cannot be shown</source>
        <translation>{longest}자보다 길거나 표시할 수 없는 문자가 있습니다</translation>
    </message>
    <message>
        <source>{name} is not a class name</source>
        <translation>{name}은(는) 클래스 이름이 아닙니다</translation>
    </message>
    <message>
        <source>Give a short name of letters and digits</source>
        <translation>글자와 숫자로 된 짧은 이름을 주세요</translation>
    </message>
    <message>
        <source>Void means that a pixel has no class</source>
        <translation>void는 픽셀에 클래스가 없음을 뜻합니다</translation>
    </message>
    <message>
        <source>Choose another name, for example &apos;unclear&apos;</source>
        <translation>다른 이름을 고르세요. 예: &apos;unclear&apos;</translation>
    </message>
    <message>
        <source>there is already a class &apos;{class_name}&apos;</source>
        <translation>&apos;{class_name}&apos; 클래스가 이미 있습니다</translation>
    </message>
    <message>
        <source>Choose another name, or merge the two classes</source>
        <translation>다른 이름을 고르거나 두 클래스를 병합하세요</translation>
    </message>
    <message>
        <source>Give one class name for each line (labelme), &apos;name:r,g,b::&apos; lines (CVAT labelmap.txt), &apos;names:&apos; (YOLO), &apos;categories&apos; (COCO), &apos;classes&apos; (Atrous, Supervisely), &apos;_classes.csv&apos; (Roboflow), or a list of names</source>
        <extracomment>labelme&apos;s name for pixels that no figure counts (``examples/semantic_segmentation/labels.txt`` of labelme). Largest XML file that may name classes, in bytes: CVAT&apos;s holds all shapes, too. Most classes of a list: ids of wide masks end at 65534. Class names in the title of a catalog of typed names. What a line that is no class begins with in a text file: ``# `` with the space, because a class may be called ``#1``. A remark for other programs; without it the ids of a ``labelmap.txt`` count from 0 in the order of the lines.</extracomment>
        <translation>한 줄에 클래스 이름 하나(labelme), &apos;name:r,g,b::&apos; 줄(CVAT labelmap.txt), &apos;names:&apos;(YOLO), &apos;categories&apos;(COCO), &apos;classes&apos;(Atrous, Supervisely), &apos;_classes.csv&apos;(Roboflow), 또는 이름 목록을 주세요</translation>
    </message>
    <message>
        <source>Its line of ids does not fit its {count} classes</source>
        <translation>ID 줄이 클래스 {count}개와 맞지 않습니다</translation>
    </message>
    <message>
        <source>It is not a table: {problem}</source>
        <translation>표가 아닙니다: {problem}</translation>
    </message>
    <message>
        <source>Its first line does not name the columns Pixel Value and Class</source>
        <translation>첫 줄에 Pixel Value와 Class 열 이름이 없습니다</translation>
    </message>
    <message>
        <source>Row {number} reads {row}</source>
        <translation>{number}행의 내용: {row}</translation>
    </message>
    <message>
        <source>It has no label of Label Studio or CVAT</source>
        <translation>Label Studio나 CVAT의 라벨이 없습니다</translation>
    </message>
    <message>
        <source>Line {number} reads {line}, not &apos;name:red,green,blue:parts:actions&apos;</source>
        <translation>{number}번째 줄이 &apos;name:red,green,blue:parts:actions&apos;가 아니라 {line}입니다</translation>
    </message>
    <message>
        <source>Line {number}: {red},{green},{blue} is not a colour</source>
        <translation>{number}번째 줄: {red},{green},{blue}은(는) 색이 아닙니다</translation>
    </message>
    <message>
        <source>&apos;names&apos; has a key that is not a whole number</source>
        <translation>&apos;names&apos;에 정수가 아닌 키가 있습니다</translation>
    </message>
    <message>
        <source>A category reads {row}</source>
        <translation>범주 하나의 내용: {row}</translation>
    </message>
    <message>
        <source>The id of category {name} is not a whole number</source>
        <translation>범주 {name}의 ID가 정수가 아닙니다</translation>
    </message>
    <message>
        <source> like &apos;#c02040&apos;</source>
        <translation>(예: &apos;#c02040&apos;)</translation>
    </message>
    <message>
        <source>{value} is not a colour{like}</source>
        <translation>{value}은(는) 색이 아닙니다{like}</translation>
    </message>
    <message>
        <source>A class name reads {value}</source>
        <translation>클래스 이름 하나가 {value}입니다</translation>
    </message>
    <message>
        <source>It has no classes</source>
        <translation>클래스가 없습니다</translation>
    </message>
    <message>
        <source>It has {count:,} classes; masks can hold {most:,}</source>
        <translation>클래스가 {count:,}개인데, 마스크에는 {most:,}개까지 들어갑니다</translation>
    </message>
    <message>
        <source>not a class list</source>
        <translation>클래스 목록이 아닙니다</translation>
    </message>
    <message>
        <source>&apos;{catalog}&apos; cannot be written as {format}</source>
        <extracomment>Every form that :func:`list_text` writes; ``save_catalog`` writes our own JSON and YAML.</extracomment>
        <translation>&apos;{catalog}&apos;을(를) {format}(으)로 쓸 수 없습니다</translation>
    </message>
    <message>
        <source>It numbers classes by their order, and the ids of this catalog have gaps or another order</source>
        <translation>클래스 번호를 순서대로 매기는 형식인데, 이 카탈로그의 ID에는 빈자리가 있거나 순서가 다릅니다</translation>
    </message>
    <message>
        <source>Choose a form that keeps ids: {formats}</source>
        <translation>ID를 유지하는 형식을 고르세요: {formats}</translation>
    </message>
    <message>
        <source>&apos;{name}&apos; cannot be written as {form}</source>
        <translation>&apos;{name}&apos;을(를) {form}(으)로 쓸 수 없습니다</translation>
    </message>
    <message>
        <source>A class &apos;{name}&apos; means void there</source>
        <translation>거기서 &apos;{name}&apos; 클래스는 void를 뜻합니다</translation>
    </message>
    <message>
        <source>Rename the class, or choose another form</source>
        <translation>클래스 이름을 바꾸거나 다른 형식을 고르세요</translation>
    </message>
    <message>
        <source>The class name {name} contains what separates entries there</source>
        <translation>클래스 이름 {name}에 그 형식의 구분자가 들어 있습니다</translation>
    </message>
    <message>
        <source>Give each class a name of its own, with commas between them</source>
        <translation>클래스마다 고유한 이름을 쉼표로 구분해 주세요</translation>
    </message>
    <message>
        <source>these names are not a class list</source>
        <translation>이 이름들은 클래스 목록이 아닙니다</translation>
    </message>
    <message>
        <source>an image to correct is (H, W, 3) uint8, not {shape} {dtype}</source>
        <extracomment>Levels of the region hierarchy.</extracomment>
        <translation>수정할 이미지는 (H, W, 3) uint8이어야 합니다. {shape} {dtype}이(가) 아닙니다</translation>
    </message>
    <message>
        <source>Convert it to 8-bit RGB first</source>
        <translation>먼저 8비트 RGB로 변환하세요</translation>
    </message>
    <message>
        <source>the image is {width} x {height} px, the labels {size}, the provenance {provenance_size} {dtype}</source>
        <translation>이미지는 {width} x {height} px, 라벨은 {size}, 픽셀 출처는 {provenance_size} {dtype}입니다</translation>
    </message>
    <message>
        <source>Pass maps of the image&apos;s size, provenance as uint8</source>
        <translation>이미지 크기의 맵을 주세요. 픽셀 출처는 uint8입니다</translation>
    </message>
    <message>
        <source>a mask of {size} px {dtype} does not fit an image of {width} x {height} px</source>
        <translation>{size} px {dtype} 마스크가 {width} x {height} px 이미지에 맞지 않습니다</translation>
    </message>
    <message>
        <source>Pass a boolean map of the image&apos;s size</source>
        <translation>이미지 크기의 불리언 맵을 주세요</translation>
    </message>
    <message>
        <source>there is no level {level} of regions</source>
        <translation>영역 단계 {level}이(가) 없습니다</translation>
    </message>
    <message>
        <source>Choose one of 0 (fine) to {highest} (coarse)</source>
        <translation>0(세밀)에서 {highest}(거침)까지 고르세요</translation>
    </message>
    <message>
        <source>the {what} is {number}</source>
        <translation>{what}이(가) {number}입니다</translation>
    </message>
    <message>
        <source>Give a whole number, 1 or more</source>
        <translation>1 이상의 정수를 지정하세요</translation>
    </message>
    <message>
        <source>this is the decoder of a click network; its encoder is missing</source>
        <extracomment>What a graph can be: a whole network, or half of one.</extracomment>
        <translation>클릭 네트워크의 디코더입니다. 인코더가 없습니다</translation>
    </message>
    <message>
        <source>Put the encoder&apos;s .onnx file beside it, or choose both files</source>
        <translation>인코더의 .onnx 파일을 옆에 두거나 두 파일을 모두 고르세요</translation>
    </message>
    <message>
        <source>this network takes an image and no clicks; if it is an encoder, its decoder is missing</source>
        <translation>이 네트워크는 이미지만 받고 클릭은 받지 않습니다. 인코더라면 디코더가 없습니다</translation>
    </message>
    <message>
        <source>Put the decoder&apos;s .onnx file beside it, or choose both files</source>
        <translation>디코더의 .onnx 파일을 옆에 두거나 두 파일을 모두 고르세요</translation>
    </message>
    <message>
        <source>It takes {inputs}</source>
        <translation>입력: {inputs}</translation>
    </message>
    <message>
        <source>A pair is an encoder, which takes an image, and a decoder, which takes points; it takes {inputs}</source>
        <translation>쌍은 이미지를 받는 인코더와 점을 받는 디코더입니다. 입력: {inputs}</translation>
    </message>
    <message>
        <source>It takes {inputs} and gives {outputs}</source>
        <extracomment>Sides of the box that stands for a point, relative to the image&apos;s. Candidates that are offered at most. Normalisation of an encoder that takes floats: to -1..1. What a decoder takes besides features; rows and columns of masks that are asked for.</extracomment>
        <translation>입력: {inputs}, 출력: {outputs}</translation>
    </message>
    <message>
        <source>It gives {outputs}, no masks with scores</source>
        <translation>출력이 {outputs}이며, 점수가 있는 마스크가 없습니다</translation>
    </message>
    <message>
        <source>the click network&apos;s answer is not a mask</source>
        <extracomment>Whether masks cover all that the encoder sees, rather than the image&apos;s part of it; one graph gives the image&apos;s part.</extracomment>
        <translation>클릭 네트워크의 결과가 마스크가 아닙니다</translation>
    </message>
    <message>
        <source>it gave {masks} masks with {scores} scores</source>
        <translation>마스크 {masks}개와 점수 {scores}개를 냈습니다</translation>
    </message>
    <message>
        <source>Choose another click network</source>
        <translation>다른 클릭 네트워크를 고르세요</translation>
    </message>
    <message>
        <source>not a network for clicks of a known kind</source>
        <extracomment>Mean and standard deviation of ImageNet&apos;s colours, 0..1: of RITM, SimpleClick, SAM and their relatives (ISModel in https://github.com/SamsungLabs/ritm_interactive_segmentation/blob/master/isegm/model/is_model.py), and the same times 255 as SAM writes it (https://github.com/facebookresearch/segment-anything/blob/main/segment_anything/build_sam.py). Bytes of features that are kept; those of the image used last always are. Number of clicks that keep their results, so that the next click begins where the last one ended. Colours as they are, 0..1, and normalised by ImageNet&apos;s mean and deviation.</extracomment>
        <translation>알려진 종류의 클릭 네트워크가 아닙니다</translation>
    </message>
    <message>
        <source>Export it as docs/correcting.md describes, or choose another file</source>
        <translation>docs/correcting.md의 설명대로 내보내거나 다른 파일을 고르세요</translation>
    </message>
    <message>
        <source>Choose another click network, or export it for images of any size</source>
        <extracomment>RITM&apos;s inference: the longest side of a whole image (``LimitLongestSide``), and of the part around the object after the first click (``ZoomIn`` in isegm/inference/transforms/zoom_in.py): its size relative to the object, its least side in px, and the overlap below which it moves. Side of the part around a first click that is looked at closely, px (as FocalClick&apos;s second look, arXiv 2204.02574). Sides of graphs of free size are multiples of this, which every network with a decoder takes. Probabilities above which a pixel is the object: the network&apos;s own, then a tighter and a looser outline.</extracomment>
        <translation>다른 클릭 네트워크를 고르거나 모든 크기의 이미지용으로 내보내세요</translation>
    </message>
    <message>
        <source>Nothing is known for its inputs {inputs}</source>
        <translation>입력 {inputs}에 대해 알려진 것이 없습니다</translation>
    </message>
    <message>
        <source>It takes {count} points, which are not two equal halves</source>
        <translation>점 {count}개를 받는데, 같은 두 절반이 아닙니다</translation>
    </message>
    <message>
        <source>It takes the mask so far twice</source>
        <translation>지금까지의 마스크를 두 번 받습니다</translation>
    </message>
    <message>
        <source>this is the second stage of FocalClick, its local refinement, which Atrous does not run</source>
        <translation>FocalClick의 둘째 단계인 국소 정제이며, Atrous는 이를 실행하지 않습니다</translation>
    </message>
    <message>
        <source>Export the first stage alone (image, clicks and the mask so far), and choose that file</source>
        <translation>첫째 단계(이미지, 클릭, 지금까지의 마스크)만 내보내고 그 파일을 고르세요</translation>
    </message>
    <message>
        <source>The graph does not contain ImageNet&apos;s mean: colours are normalised before it, not inside of it.</source>
        <translation>그래프에 ImageNet의 평균이 없습니다. 색은 그래프 안이 아니라 그 앞에서 정규화합니다.</translation>
    </message>
    <message>
        <source>it gave {shape}, where (1, 1, height, width) finite numbers are expected</source>
        <translation>(1, 1, 높이, 너비)의 유한한 수를 기대했는데 {shape}을(를) 냈습니다</translation>
    </message>
    <message>
        <source>{clicks} clicks have {signs} signs</source>
        <translation>클릭 {clicks}개에 부호가 {signs}개입니다</translation>
    </message>
    <message>
        <source>Say of every click whether it is on the object</source>
        <translation>클릭마다 객체 위인지 지정하세요</translation>
    </message>
    <message>
        <source>the box ({left}, {top}, {right}, {bottom}) holds no pixel of the image of {width} x {height} px</source>
        <translation>상자 ({left}, {top}, {right}, {bottom})에 {width} x {height} px 이미지의 픽셀이 없습니다</translation>
    </message>
    <message>
        <source>Draw a box over a part of the image</source>
        <translation>이미지의 일부에 상자를 그리세요</translation>
    </message>
    <message>
        <source>the click model&apos;s mask is {shape} {dtype}</source>
        <translation>클릭 모델의 마스크가 {shape} {dtype}입니다</translation>
    </message>
    <message>
        <source>Use another click model</source>
        <translation>다른 클릭 모델을 쓰세요</translation>
    </message>
    <message>
        <source>Choose another click network; encoder and decoder must be of one export</source>
        <extracomment>Side of SAM&apos;s square where a graph leaves it open, and how much coarser its masks are (build_sam.py). Logits of a mask that is given to the decoder (``_use_mask_as_output`` in sam2/modeling/sam2_base.py of facebookresearch/sam2). Points that EfficientSAM&apos;s decoder looks at (``decoder_max_num_input_points``); it cuts off the others. What to do about graphs that do not belong together.</extracomment>
        <translation>다른 클릭 네트워크를 고르세요. 인코더와 디코더는 함께 내보낸 것이어야 합니다</translation>
    </message>
    <message>
        <source>Its points and their labels do not fit: {inputs}</source>
        <translation>점과 그 라벨이 맞지 않습니다: {inputs}</translation>
    </message>
    <message>
        <source>It takes {inputs}, not one image of three colours</source>
        <translation>세 색의 이미지 하나가 아니라 {inputs}을(를) 받습니다</translation>
    </message>
    <message>
        <source>Its input {name} is none of what {encoder} gives: {outputs}</source>
        <translation>입력 {name}이(가) {encoder}의 출력에 없습니다: {outputs}</translation>
    </message>
    <message>
        <source>Its input {name} does not fit {output} of {encoder}</source>
        <translation>입력 {name}이(가) {encoder}의 {output}에 맞지 않습니다</translation>
    </message>
    <message>
        <source>size of a hole</source>
        <translation>구멍의 크기</translation>
    </message>
    <message>
        <source>size of an island</source>
        <translation>작은 조각의 크기</translation>
    </message>
    <message>
        <source>a brush is {diameter:g} px wide</source>
        <translation>브러시 너비가 {diameter:g} px입니다</translation>
    </message>
    <message>
        <source>Give a number of px above 0</source>
        <translation>0보다 큰 px 수를 지정하세요</translation>
    </message>
    <message>
        <source>a scribble reaches {reach:g} px</source>
        <translation>스크리블의 도달 범위가 {reach:g} px입니다</translation>
    </message>
    <message>
        <source>Give a number of px above 0, e.g. 12, 30 or 70</source>
        <translation>0보다 큰 px 수를 지정하세요. 예: 12, 30, 70</translation>
    </message>
    <message>
        <source>a lasso snaps over {snap:g} px</source>
        <translation>올가미의 스냅 거리가 {snap:g} px입니다</translation>
    </message>
    <message>
        <source>Give a number of px above 0, at most {most}</source>
        <translation>0보다 크고 {most} 이하인 px 수를 지정하세요</translation>
    </message>
    <message>
        <source>a change is outside of the image</source>
        <translation>변경이 이미지 밖에 있습니다</translation>
    </message>
    <message>
        <source>Make a new corrector for an image of another size</source>
        <translation>크기가 다른 이미지에는 새 Corrector를 만드세요</translation>
    </message>
    <message>
        <source>width of a band</source>
        <translation>밴드의 너비</translation>
    </message>
    <message>
        <source>number of px</source>
        <translation>px 수</translation>
    </message>
    <message>
        <source>the number of px is {px}</source>
        <extracomment>Operations that draw an outline; the others give a component another class and leave its outline. Operations that can be done for all classes at once.</extracomment>
        <translation>px 수가 {px}입니다</translation>
    </message>
    <message>
        <source>&apos;{operation}&apos; needs a class</source>
        <translation>&apos;{operation}&apos;에는 클래스가 필요합니다</translation>
    </message>
    <message>
        <source>Choose the class to change</source>
        <translation>바꿀 클래스를 고르세요</translation>
    </message>
    <message>
        <source>labels and provenance differ in size</source>
        <translation>라벨과 픽셀 출처의 크기가 다릅니다</translation>
    </message>
    <message>
        <source>the point ({x:g}, {y:g}) is outside of the image of {width} x {height} px</source>
        <extracomment>Coordinates that differ by less are one, px. A path may leave the image, but not by more than so many px: no screen reaches so far.</extracomment>
        <translation>점 ({x:g}, {y:g})이(가) {width} x {height} px 이미지 밖에 있습니다</translation>
    </message>
    <message>
        <source>Point at a pixel of the image</source>
        <translation>이미지의 픽셀을 가리키세요</translation>
    </message>
    <message>
        <source>a path is an array (N, 2) of x and y with at least one point, not {shape}</source>
        <translation>경로는 점이 하나 이상인 x와 y의 배열 (N, 2)여야 합니다. {shape}이(가) 아닙니다</translation>
    </message>
    <message>
        <source>this</source>
        <translation>이것</translation>
    </message>
    <message>
        <source>Pass one row (x, y) per point</source>
        <translation>점마다 한 행 (x, y)를 주세요</translation>
    </message>
    <message>
        <source>a point of the path is far outside of the image of {width} x {height} px, or no number</source>
        <translation>경로의 점이 {width} x {height} px 이미지에서 멀리 벗어났거나 수가 아닙니다</translation>
    </message>
    <message>
        <source>Pass x and y in image pixels</source>
        <translation>x와 y를 이미지 픽셀로 주세요</translation>
    </message>
    <message>
        <source>the path is outside of the image of {width} x {height} px</source>
        <translation>경로가 {width} x {height} px 이미지 밖에 있습니다</translation>
    </message>
    <message>
        <source>Draw over at least one pixel of the image</source>
        <translation>이미지의 픽셀을 하나 이상 지나게 그리세요</translation>
    </message>
    <message>
        <source>class scores are an array (classes, rows, columns) of {classes} classes, not {shape}</source>
        <extracomment>Values this far outside of 0..1, or sums this far from 1, are not probabilities but a network&apos;s scores.</extracomment>
        <translation>클래스 점수는 클래스 {classes}개의 배열 (클래스, 행, 열)이어야 합니다. {shape}이(가) 아닙니다</translation>
    </message>
    <message>
        <source>Pass the scores of a model with this catalog, one plane per class</source>
        <translation>이 카탈로그를 쓰는 모델의 점수를 클래스마다 한 평면씩 주세요</translation>
    </message>
    <message>
        <source>the class scores hold numbers that are not finite</source>
        <translation>클래스 점수에 유한하지 않은 수가 있습니다</translation>
    </message>
    <message>
        <source>Predict the image again</source>
        <translation>이미지를 다시 예측하세요</translation>
    </message>
    <message>
        <source>labels of {size} px do not fit</source>
        <translation>{size} px 라벨이 맞지 않습니다</translation>
    </message>
    <message>
        <source>Pass labels of the image&apos;s size</source>
        <translation>이미지 크기의 라벨을 주세요</translation>
    </message>
    <message>
        <source>the ambiguous regions are of {width} x {height} px, the truth of {other_width} x {other_height} px</source>
        <extracomment>Name and version of the JSON form. Ending of files with the regions of an image. Largest list of marks that is read.</extracomment>
        <translation>모호한 영역은 {width} x {height} px, 정답은 {other_width} x {other_height} px입니다</translation>
    </message>
    <message>
        <source>Mark them again on this image</source>
        <translation>이 이미지에서 다시 표시하세요</translation>
    </message>
    <message>
        <source>the folder does not exist</source>
        <extracomment>Endings of lossless files, the only ones that can hold masks. Pictures, scans and films that are not read; their number and names are reported. Files of a folder that are looked at. Every ASCII character as a letter or a digit, to see where the numbers of a name are.</extracomment>
        <translation>폴더가 없습니다</translation>
    </message>
    <message>
        <source>Choose another folder</source>
        <translation>다른 폴더를 고르세요</translation>
    </message>
    <message>
        <source>this is a file, not a folder</source>
        <translation>폴더가 아니라 파일입니다</translation>
    </message>
    <message>
        <source>Choose the folder that holds it</source>
        <translation>그 파일이 있는 폴더를 고르세요</translation>
    </message>
    <message>
        <source>the ground truth is not certain</source>
        <extracomment>Affinity of a folder that is named after the images&apos; own, or is inside it.</extracomment>
        <translation>정답이 확실하지 않습니다</translation>
    </message>
    <message>
        <source>Name it with {option}: {folders}</source>
        <translation>{option}(으)로 지정하세요: {folders}</translation>
    </message>
    <message>
        <source>there is no truth layout &apos;{layout}&apos;</source>
        <translation>정답 배치 &apos;{layout}&apos;이(가) 없습니다</translation>
    </message>
    <message>
        <source>Choose one of {layout}</source>
        <translation>{layout} 중 하나를 고르세요</translation>
    </message>
    <message>
        <source>{folders} hold masks of different images</source>
        <translation>{folders}에는 서로 다른 이미지의 마스크가 있습니다</translation>
    </message>
    <message>
        <source>{names} and {name}</source>
        <translation>{names}, {name}</translation>
    </message>
    <message>
        <source>it holds the masks that are to be compared with the ground truth</source>
        <translation>정답과 비교할 마스크가 들어 있습니다</translation>
    </message>
    <message>
        <source>it holds {what}</source>
        <translation>내용: {what}</translation>
    </message>
    <message>
        <source>it is a part of a project of Atrous</source>
        <translation>Atrous 프로젝트의 일부입니다</translation>
    </message>
    <message>
        <source>{folders} have as many masks for these images</source>
        <translation>{folders}에 이 이미지들의 마스크가 같은 수만큼 있습니다</translation>
    </message>
    <message>
        <source>Ground truth is taken from {folder}; {others} would fit as well</source>
        <translation>정답은 {folder}에서 가져옵니다. {others}도 맞습니다</translation>
    </message>
    <message>
        <source>{folder} is only named after the images: it may hold predictions, or masks that Atrous exported</source>
        <translation>{folder}은(는) 이름만 이미지와 맞습니다. 예측이나 Atrous가 내보낸 마스크일 수 있습니다</translation>
    </message>
    <message>
        <source>{where} have the names of {files} of {images}</source>
        <translation>{where}에 {images} 중 {files}개의 이름이 있습니다</translation>
    </message>
    <message>
        <source>{where} has the names of {files} of {images}</source>
        <translation>{where}에 {images} 중 {files}개의 이름이 있습니다</translation>
    </message>
    <message>
        <source>{folder} is not ground truth: {why}</source>
        <translation>{folder}은(는) 정답이 아닙니다: {why}</translation>
    </message>
    <message>
        <source>it has the names of {images}</source>
        <translation>{images}의 이름이 있습니다</translation>
    </message>
    <message>
        <source>it has the names of {images}, no more than another folder</source>
        <translation>{images}의 이름이 있지만 다른 폴더보다 많지 않습니다</translation>
    </message>
    <message>
        <source>the folder of the ground truth does not exist</source>
        <translation>정답 폴더가 없습니다</translation>
    </message>
    <message>
        <source>{folder} was named, and has the names of {files} of {images}</source>
        <translation>{folder}을(를) 지정했으며 {images} 중 {files}개의 이름이 있습니다</translation>
    </message>
    <message>
        <source>masks that Atrous predicted in {folder} were left out</source>
        <translation>{folder}에 있는 Atrous의 예측 마스크는 제외했습니다</translation>
    </message>
    <message>
        <source>there is no such folder</source>
        <extracomment>Companions of masks that hold something else: our own confidence maps, Cityscapes&apos; colour and instance renderings. Cityscapes ships several label files per photograph; the other kind is read (and translated) only where it stands alone.
----------
Brings the pixels of a file into the frame that is compared.</extracomment>
        <translation>그런 폴더가 없습니다</translation>
    </message>
    <message>
        <source>Name a folder of masks</source>
        <translation>마스크 폴더를 지정하세요</translation>
    </message>
    <message>
        <source>truth files</source>
        <translation>정답 파일</translation>
    </message>
    <message>
        <source>{count} {what} have this name</source>
        <translation>이름이 같은 {what}이(가) {count}개입니다</translation>
    </message>
    <message>
        <source>Found {paths}</source>
        <translation>찾은 것: {paths}</translation>
    </message>
    <message>
        <source>Keep the same sub-folders on both sides, or evaluate folder by folder</source>
        <translation>양쪽의 하위 폴더를 같게 하거나 폴더별로 평가하세요</translation>
    </message>
    <message>
        <source>Name the folder of the files that go with the masks</source>
        <translation>마스크와 짝이 되는 파일의 폴더를 지정하세요</translation>
    </message>
    <message>
        <source>confidence map</source>
        <translation>신뢰도 맵</translation>
    </message>
    <message>
        <source>the confidence map is not an 8-bit grey picture</source>
        <translation>신뢰도 맵이 8비트 회색조 그림이 아닙니다</translation>
    </message>
    <message>
        <source>Predict again</source>
        <translation>다시 예측하세요</translation>
    </message>
    <message>
        <source>instance map</source>
        <translation>인스턴스 맵</translation>
    </message>
    <message>
        <source>the {what} does not fit its mask</source>
        <translation>{what}이(가) 마스크에 맞지 않습니다</translation>
    </message>
    <message>
        <source>It holds {found}; the mask has {width} x {height} px</source>
        <translation>{found}이(가) 들어 있는데 마스크는 {width} x {height} px입니다</translation>
    </message>
    <message>
        <source>the classes of these masks are not certain</source>
        <translation>이 마스크의 클래스가 확실하지 않습니다</translation>
    </message>
    <message>
        <source>Name {names}, or a catalog file</source>
        <translation>{names} 또는 카탈로그 파일을 지정하세요</translation>
    </message>
    <message>
        <source>You named them</source>
        <translation>직접 지정했습니다</translation>
    </message>
    <message>
        <source>They are the classes of the model</source>
        <translation>모델의 클래스입니다</translation>
    </message>
    <message>
        <source>this folder is not ground truth: its marker cannot be read, so what Atrous wrote here is unknown</source>
        <extracomment>Name of the folder that holds a project&apos;s data, and of the database in one that lies elsewhere (``--project``). Sub-folders of a project&apos;s data that hold masks. Files of a folder that are opened, spread evenly over it. A label map holds fewer values or colours than this; a photograph holds more.</extracomment>
        <translation>이 폴더는 정답이 아닙니다. 표지를 읽을 수 없어 Atrous가 무엇을 썼는지 알 수 없습니다</translation>
    </message>
    <message>
        <source>this folder is not ground truth: it holds {contents}</source>
        <translation>이 폴더는 정답이 아닙니다. {contents}이(가) 들어 있습니다</translation>
    </message>
    <message>
        <source>Figures against a model&apos;s own masks say nothing about its errors</source>
        <translation>모델 자신의 마스크와 비교한 수치는 모델의 오류를 알려 주지 않습니다</translation>
    </message>
    <message>
        <source>Name the folder of the ground truth with --truth, or add --allow-predicted-truth if you mean this one</source>
        <translation>--truth로 정답 폴더를 지정하거나, 이 폴더가 맞다면 --allow-predicted-truth를 추가하세요</translation>
    </message>
    <message>
        <source>this folder is a part of a project of Atrous, not ground truth</source>
        <translation>이 폴더는 정답이 아니라 Atrous 프로젝트의 일부입니다</translation>
    </message>
    <message>
        <source>Its masks hold pixels of a model as well as a user&apos;s</source>
        <translation>마스크에 사용자의 픽셀과 함께 모델의 픽셀이 있습니다</translation>
    </message>
    <message>
        <source>Export the masks with &apos;atrous export&apos; and name that folder, or add --allow-predicted-truth</source>
        <translation>&apos;atrous export&apos;로 마스크를 내보내 그 폴더를 지정하거나 --allow-predicted-truth를 추가하세요</translation>
    </message>
    <message>
        <source>{name}: {what}</source>
        <translation>{name}: {what}</translation>
    </message>
    <message>
        <source>{name} looks like a photograph: it holds {different} grey values</source>
        <translation>{name}은(는) 사진으로 보입니다: 회색 값이 {different}개입니다</translation>
    </message>
    <message>
        <source>{name} looks like a photograph or has soft edges: it holds {different} colours</source>
        <translation>{name}은(는) 사진이거나 가장자리가 부드러운 것으로 보입니다: 색이 {different}개입니다</translation>
    </message>
    <message>
        <source>Not even its first frame can be decoded</source>
        <extracomment>Endings of videos, for file dialogs and to tell a video from a folder; the content decides what is read. What a folder of frames keeps about itself. JPEG quality of frames: no visible difference to the video&apos;s own artefacts. PNG compression: 3 takes half of the time of the library&apos;s own choice, for some per cent more bytes. Bytes of both ends of a video that tell it from others. Frames between two writes of the record, so that a killed run knows its times. Most frame numbers that a summary names. Rates beyond these are not rates. Share of the free disk that frames may fill.</extracomment>
        <translation>첫 프레임도 디코딩할 수 없습니다</translation>
    </message>
    <message>
        <source>the frames take about {needed:.1f} GB, and {free:.1f} GB are free</source>
        <translation>프레임에 약 {needed:.1f} GB가 필요한데 {free:.1f} GB가 남아 있습니다</translation>
    </message>
    <message>
        <source>Take fewer frames, write them as jpg, or choose another folder</source>
        <translation>프레임을 줄이거나, jpg로 쓰거나, 다른 폴더를 고르세요</translation>
    </message>
    <message>
        <source>Its frames have no times; choose every n-th frame instead</source>
        <translation>프레임에 시각이 없습니다. 대신 n번째 프레임마다를 고르세요</translation>
    </message>
    <message>
        <source>the video cannot be read</source>
        <translation>동영상을 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>Check the file</source>
        <translation>파일을 확인하세요</translation>
    </message>
    <message>
        <source>Its content is that of no known video</source>
        <translation>알려진 동영상의 내용이 아닙니다</translation>
    </message>
    <message>
        <source>the name of the video is not text</source>
        <translation>동영상 이름이 텍스트가 아닙니다</translation>
    </message>
    <message>
        <source>It was written with another encoding</source>
        <translation>다른 인코딩으로 쓰였습니다</translation>
    </message>
    <message>
        <source>Rename the file or its folder</source>
        <translation>파일이나 폴더의 이름을 바꾸세요</translation>
    </message>
    <message>
        <source>The decoder does not know its format, or the file is damaged</source>
        <translation>디코더가 형식을 모르거나 파일이 손상되었습니다</translation>
    </message>
    <message>
        <source>a frame cannot be encoded as {kind}</source>
        <translation>프레임을 {kind}(으)로 인코딩할 수 없습니다</translation>
    </message>
    <message>
        <source>Choose another format</source>
        <translation>다른 형식을 고르세요</translation>
    </message>
    <message>
        <source>the video cannot be decoded</source>
        <translation>동영상을 디코딩할 수 없습니다</translation>
    </message>
    <message>
        <source>Convert it to MP4 with another program</source>
        <translation>다른 프로그램으로 MP4로 변환하세요</translation>
    </message>
    <message>
        <source>Choose another folder for the frames</source>
        <translation>프레임을 저장할 다른 폴더를 고르세요</translation>
    </message>
    <message>
        <source>the folder of the frames holds other files</source>
        <translation>프레임 폴더에 다른 파일이 있습니다</translation>
    </message>
    <message>
        <source>the folder of the frames is a file</source>
        <translation>프레임 폴더가 파일입니다</translation>
    </message>
    <message>
        <source>the folder holds frames of another video, {name}</source>
        <translation>폴더에 다른 동영상 {name}의 프레임이 있습니다</translation>
    </message>
    <message>
        <source>this needs pandas</source>
        <translation>pandas가 필요합니다</translation>
    </message>
    <message>
        <source>{path}: {what}</source>
        <extracomment>Values of a message: what a pipe carries and a format specification accepts.</extracomment>
        <translation>{path}: {what}</translation>
    </message>
    <message>
        <source>Close other programs, or make it smaller</source>
        <translation>다른 프로그램을 닫거나 크기를 줄이세요</translation>
    </message>
    <message>
        <source>this image failed</source>
        <translation>이 이미지가 실패했습니다</translation>
    </message>
    <message>
        <source>Other images are not affected; please report it</source>
        <translation>다른 이미지에는 영향이 없습니다. 이 문제를 알려 주세요</translation>
    </message>
    <message>
        <source>no figure &apos;{name}&apos;</source>
        <extracomment>Every figure by name.</extracomment>
        <translation>그림 &apos;{name}&apos;이(가) 없습니다</translation>
    </message>
    <message>
        <source>Choose one of {names}</source>
        <translation>{names} 중 하나를 고르세요</translation>
    </message>
    <message>
        <source>figure &apos;{name}&apos; needs more</source>
        <translation>그림 &apos;{name}&apos;에 더 필요한 것이 있습니다</translation>
    </message>
    <message>
        <source>{need} is missing</source>
        <translation>{need}이(가) 없습니다</translation>
    </message>
    <message>
        <source>Give it to the figure</source>
        <translation>그림에 지정하세요</translation>
    </message>
    <message>
        <source>{model} has no decoder to vary</source>
        <extracomment>Learning rate of AdamW at the first step; it falls linearly to a twentieth.</extracomment>
        <translation>{model}에는 바꿀 디코더가 없습니다</translation>
    </message>
    <message>
        <source>Choose a DeepLabv3+ with --model</source>
        <translation>--model로 DeepLabv3+를 고르세요</translation>
    </message>
    <message>
        <source>a sweep of decoders needs at least four images</source>
        <translation>디코더를 훑으려면 이미지가 네 개 이상 필요합니다</translation>
    </message>
    <message>
        <source>Choose a larger folder with --images</source>
        <translation>--images로 더 큰 폴더를 고르세요</translation>
    </message>
    <message>
        <source>{model} has no atrous spatial pyramid</source>
        <extracomment>Longest side of the image in figures that show single features. Iterations of mean field that are shown (DeepLab v1, figure 2, shows 1, 2 and 10).</extracomment>
        <translation>{model}에는 팽창 공간 피라미드(ASPP)가 없습니다</translation>
    </message>
    <message>
        <source>Choose a DeepLabv3 or DeepLabv3+ with --model</source>
        <translation>--model로 DeepLabv3나 DeepLabv3+를 고르세요</translation>
    </message>
    <message>
        <source>{model} has no failure of these kinds here</source>
        <extracomment>Side of the square image that multiply-adds are counted for, px; that of the DeepLab papers. Widest band that is drawn, px. Smaller components say nothing as a picture.</extracomment>
        <translation>여기에는 {model}의 이런 오류가 없습니다</translation>
    </message>
    <message>
        <source>Choose another folder or model</source>
        <translation>다른 폴더나 모델을 고르세요</translation>
    </message>
    <message>
        <source>figures need matplotlib</source>
        <extracomment>Colours of series: Okabe and Ito 2008, told apart by colour-blind readers; black and yellow left out. From white to dark, for counts and activations: one hue, so that grey prints keep the order.</extracomment>
        <translation>그림에는 matplotlib가 필요합니다</translation>
    </message>
    <message>
        <source>; the connection goes through the proxy {proxy}, which the system or the environment names</source>
        <extracomment>Answers that a later try may not get: busy, overloaded, a gateway without a server behind it.</extracomment>
        <translation>. 연결이 시스템이나 환경에 설정된 프록시 {proxy}을(를) 거칩니다</translation>
    </message>
    <message>
        <source>the certificate of {host} is not trusted</source>
        <translation>{host}의 인증서를 신뢰할 수 없습니다</translation>
    </message>
    <message>
        <source>{reason}{through}</source>
        <translation>{reason}{through}</translation>
    </message>
    <message>
        <source>Check the computer&apos;s clock. Behind a company&apos;s proxy, name its certificates in SSL_CERT_FILE. {by_hand}</source>
        <translation>컴퓨터의 시계를 확인하세요. 회사 프록시 뒤라면 SSL_CERT_FILE에 그 인증서를 지정하세요. {by_hand}</translation>
    </message>
    <message>
        <source>no protected connection to {host}</source>
        <translation>{host}에 보안 연결을 할 수 없습니다</translation>
    </message>
    <message>
        <source>{host} does not answer</source>
        <translation>{host}이(가) 응답하지 않습니다</translation>
    </message>
    <message>
        <source>nothing came for too long{through}</source>
        <translation>너무 오래 아무것도 오지 않았습니다{through}</translation>
    </message>
    <message>
        <source>Try later. {by_hand}</source>
        <translation>나중에 시도하세요. {by_hand}</translation>
    </message>
    <message>
        <source>the proxy {proxy} asks for a name and password</source>
        <translation>프록시 {proxy}이(가) 이름과 암호를 요구합니다</translation>
    </message>
    <message>
        <source>Put them into https_proxy=http://name:password@host:port</source>
        <translation>https_proxy=http://name:password@host:port에 넣으세요</translation>
    </message>
    <message>
        <source>its name is not known here: there is no connection to the internet, or a proxy is needed{through}</source>
        <translation>여기서 그 이름을 알 수 없습니다. 인터넷에 연결되지 않았거나 프록시가 필요합니다{through}</translation>
    </message>
    <message>
        <source>{host} cannot be reached</source>
        <translation>{host}에 연결할 수 없습니다</translation>
    </message>
    <message>
        <source>Check the connection and try again. {by_hand}</source>
        <translation>연결을 확인하고 다시 시도하세요. {by_hand}</translation>
    </message>
    <message>
        <source>{host} sends a malformed {header}</source>
        <translation>{host}이(가) 잘못된 {header}을(를) 보냅니다</translation>
    </message>
    <message>
        <source>Nothing of it was used. {by_hand}</source>
        <translation>사용하지 않았습니다. {by_hand}</translation>
    </message>
    <message>
        <source>{host} no longer has the file</source>
        <translation>{host}에 파일이 더 이상 없습니다</translation>
    </message>
    <message>
        <source>{url}: {status} {meaning}</source>
        <translation>{url}: {status} {meaning}</translation>
    </message>
    <message>
        <source>{host} refuses the file</source>
        <translation>{host}이(가) 파일을 거부합니다</translation>
    </message>
    <message>
        <source>; {complaint}</source>
        <translation>; {complaint}</translation>
    </message>
    <message>
        <source>{host} is too busy</source>
        <translation>{host}이(가) 너무 바쁩니다</translation>
    </message>
    <message>
        <source>{status} {meaning}{odd}</source>
        <translation>{status} {meaning}{odd}</translation>
    </message>
    <message>
        <source>Try again later. {by_hand}</source>
        <translation>나중에 다시 시도하세요. {by_hand}</translation>
    </message>
    <message>
        <source>{host} answered {status}</source>
        <translation>{host}의 응답: {status}</translation>
    </message>
    <message>
        <source>the address of the proxy, {url}, is malformed</source>
        <translation>프록시 주소 {url}의 형식이 잘못되었습니다</translation>
    </message>
    <message>
        <source>Correct it in https_proxy or in the settings of the system: http://host:port</source>
        <translation>https_proxy나 시스템 설정에서 고치세요: http://host:port</translation>
    </message>
    <message>
        <source>the proxy {url} speaks SOCKS, which downloads here do not</source>
        <translation>프록시 {url}은(는) SOCKS를 쓰는데, 다운로드에서는 지원하지 않습니다</translation>
    </message>
    <message>
        <source>Name an HTTP proxy in https_proxy, or fetch the file with another program</source>
        <translation>https_proxy에 HTTP 프록시를 지정하거나 다른 프로그램으로 파일을 받으세요</translation>
    </message>
    <message>
        <source>{host} sends on to an unprotected address</source>
        <translation>{host}이(가) 보호되지 않은 주소로 넘깁니다</translation>
    </message>
    <message>
        <source>It was not followed</source>
        <translation>따라가지 않았습니다</translation>
    </message>
    <message>
        <source>{host} sends a malformed Location</source>
        <translation>{host}이(가) 잘못된 Location을 보냅니다</translation>
    </message>
    <message>
        <source>{error}: {location}</source>
        <translation>{error}: {location}</translation>
    </message>
    <message>
        <source>It was not followed. Try later, or fetch the file with a browser</source>
        <translation>따라가지 않았습니다. 나중에 시도하거나 브라우저로 파일을 받으세요</translation>
    </message>
    <message>
        <source>What came so far is kept; the next try goes on from there</source>
        <extracomment>Longest silence of a server, in seconds. Lowest rate of a server, in bytes per second, over :data:`SLOW_FOR` seconds, which is longer than the longest silence. Longest time in seconds from asking to the first byte of the file, redirects included. Waiting time before each further try after a connection broke, in seconds; a try that brought bytes restarts the count. Largest file that is fetched where the published size is not known; the largest known network has 1 GB. Room that a download leaves on the disk. Numbers of more digits stand for no file. What ``If-Range`` may send back.</extracomment>
        <translation>지금까지 온 내용은 보관되며, 다음에 이어서 받습니다</translation>
    </message>
    <message>
        <source>To do without: fetch {url} elsewhere and copy it to {target}</source>
        <translation>없이 하려면 다른 곳에서 {url}을(를) 받아 {target}에 복사하세요</translation>
    </message>
    <message>
        <source>what came is not {file}</source>
        <translation>받은 것이 {file}이(가) 아닙니다</translation>
    </message>
    <message>
        <source>its sha256 begins with {found} instead of {expected}; it was deleted</source>
        <translation>sha256이 {expected} 대신 {found}(으)로 시작해 삭제했습니다</translation>
    </message>
    <message>
        <source>Try again; if it stays so, the file or something between you and the server has changed</source>
        <translation>다시 시도하세요. 계속 그렇다면 파일이나 서버까지의 경로에서 무언가가 바뀌었습니다</translation>
    </message>
    <message>
        <source>a web page came instead of the file</source>
        <translation>파일 대신 웹 페이지가 왔습니다</translation>
    </message>
    <message>
        <source>the server asks something first, or a login page of the network answered</source>
        <translation>서버가 먼저 무언가를 묻거나 네트워크의 로그인 페이지가 응답했습니다</translation>
    </message>
    <message>
        <source>Open {url} in a browser and copy the file to {folder}</source>
        <translation>브라우저에서 {url}을(를) 열고 파일을 {folder}에 복사하세요</translation>
    </message>
    <message>
        <source>an empty file came</source>
        <translation>빈 파일이 왔습니다</translation>
    </message>
    <message>
        <source>It reads {sent}</source>
        <translation>내용: {sent}</translation>
    </message>
    <message>
        <source>It reads {length}</source>
        <translation>내용: {length}</translation>
    </message>
    <message>
        <source>the disk has no room for {megabytes:,.0f} MB more</source>
        <translation>디스크에 {megabytes:,.0f} MB가 더 들어갈 자리가 없습니다</translation>
    </message>
    <message>
        <source>{megabytes:,.0f} MB are free</source>
        <translation>{megabytes:,.0f} MB가 남아 있습니다</translation>
    </message>
    <message>
        <source>Free some space or choose another folder</source>
        <translation>공간을 확보하거나 다른 폴더를 고르세요</translation>
    </message>
    <message>
        <source>the server sends far more than the published file</source>
        <translation>서버가 공개된 파일보다 훨씬 많이 보냅니다</translation>
    </message>
    <message>
        <source>It was deleted; tell its publisher</source>
        <translation>삭제했습니다. 게시자에게 알려 주세요</translation>
    </message>
    <message>
        <source>{kept}. {by_hand}</source>
        <translation>{kept}. {by_hand}</translation>
    </message>
    <message>
        <source>{host} is too slow</source>
        <translation>{host}이(가) 너무 느립니다</translation>
    </message>
    <message>
        <source>its answer had not begun after {seconds:,.0f} s</source>
        <translation>{seconds:,.0f}초가 지나도 응답이 시작되지 않았습니다</translation>
    </message>
    <message>
        <source>{bytes:,} bytes came in {seconds:,.0f} s</source>
        <translation>{seconds:,.0f}초 동안 {bytes:,}바이트가 왔습니다</translation>
    </message>
    <message>
        <source>There is no public repository of this name</source>
        <extracomment>Beginning of the addresses. File beside the weights that describes them. Characters of a licence that are shown. Answers about repositories that do not exist, or only for people who log in.</extracomment>
        <translation>이 이름의 공개 저장소가 없습니다</translation>
    </message>
    <message>
        <source>&apos;{address}&apos; is not an address of a repository</source>
        <extracomment>Longest wait for an answer about a repository, in seconds.</extracomment>
        <translation>&apos;{address}&apos;은(는) 저장소 주소가 아닙니다</translation>
    </message>
    <message>
        <source>It is like hf://owner/name, hf://owner/name/model.safetensors or hf://owner/name@revision</source>
        <translation>hf://owner/name, hf://owner/name/model.safetensors, hf://owner/name@revision 같은 형식입니다</translation>
    </message>
    <message>
        <source>It does not say which commit it is</source>
        <translation>어느 커밋인지 알려 주지 않습니다</translation>
    </message>
    <message>
        <source>{address} cannot be looked up</source>
        <translation>{address}을(를) 조회할 수 없습니다</translation>
    </message>
    <message>
        <source>The package huggingface-hub is not installed</source>
        <translation>huggingface-hub 패키지가 설치되어 있지 않습니다</translation>
    </message>
    <message>
        <source>Its owner gives it to people who ask for it</source>
        <translation>소유자가 요청한 사람에게만 제공합니다</translation>
    </message>
    <message>
        <source>{address} cannot be fetched</source>
        <translation>{address}을(를) 받을 수 없습니다</translation>
    </message>
    <message>
        <source>Open {page} in a browser</source>
        <translation>브라우저에서 {page}을(를) 여세요</translation>
    </message>
    <message>
        <source>It has no file {file}</source>
        <translation>{file} 파일이 없습니다</translation>
    </message>
    <message>
        <source>It holds no file of weights that Atrous reads</source>
        <translation>Atrous가 읽는 가중치 파일이 없습니다</translation>
    </message>
    <message>
        <source>{address} holds several models</source>
        <translation>{address}에 모델이 여러 개 있습니다</translation>
    </message>
    <message>
        <source>Name one: {address}</source>
        <translation>하나를 지정하세요: {address}</translation>
    </message>
    <message>
        <source>{file} is not a name of a file</source>
        <translation>{file}은(는) 파일 이름이 아닙니다</translation>
    </message>
    <message>
        <source>the archive is damaged</source>
        <extracomment>Bytes that an archive may unpack to while its member is looked for; the largest official release has 0.9 GB. Bytes of a member that only describes the next one: long names, extended headers. tarfile reads it in one piece. What gzip and tarfile raise for damaged archives.</extracomment>
        <translation>압축 파일이 손상되었습니다</translation>
    </message>
    <message>
        <source>Delete it and fetch it again</source>
        <translation>삭제하고 다시 받으세요</translation>
    </message>
    <message>
        <source>the archive holds no {name}</source>
        <translation>압축 파일에 {name}이(가) 없습니다</translation>
    </message>
    <message>
        <source>it holds {inside}</source>
        <translation>들어 있는 것: {inside}</translation>
    </message>
    <message>
        <source>Unpack it by hand and choose the checkpoint&apos;s .index file</source>
        <translation>직접 압축을 풀고 체크포인트의 .index 파일을 고르세요</translation>
    </message>
    <message>
        <source>unpacking</source>
        <translation>압축 푸는 중</translation>
    </message>
    <message>
        <source>{model} can only be fetched with a browser</source>
        <translation>{model}은(는) 브라우저로만 받을 수 있습니다</translation>
    </message>
    <message>
        <source>its publisher keeps it at {host}, which gives programs no file</source>
        <translation>게시자가 프로그램에 파일을 주지 않는 {host}에 두었습니다</translation>
    </message>
    <message>
        <source>Open {page}, download {file} and copy it into {folder}</source>
        <translation>{page}을(를) 열어 {file}을(를) 내려받고 {folder}에 복사하세요</translation>
    </message>
    <message>
        <source>the file is being fetched already</source>
        <extracomment>The locked byte lies far behind any content: Windows forbids others to read what is locked. A link of this name is not followed.</extracomment>
        <translation>파일을 이미 받고 있습니다</translation>
    </message>
    <message>
        <source>Wait for the other download, or stop it first</source>
        <translation>다른 다운로드를 기다리거나 먼저 중지하세요</translation>
    </message>
    <message>
        <source>this network takes 4 channels; this image has 3</source>
        <extracomment>Formats that OpenCV decodes fastest and without applying the orientation itself (its WebP and TIFF readers do). Of the pictures that an MPO file holds besides the first, only these are pictures to look at: no thumbnails, no gain maps. Start of a JPEG 2000 code stream and of the segment that declares sizes.</extracomment>
        <translation>이 네트워크는 4채널을 받는데 이 이미지는 3채널입니다</translation>
    </message>
    <message>
        <source>its fourth channel (alpha or near infrared) must be in the file: a PNG or WebP with alpha, a TIFF of four bands</source>
        <translation>네 번째 채널(알파 또는 근적외선)이 파일에 있어야 합니다: 알파가 있는 PNG나 WebP, 4밴드 TIFF</translation>
    </message>
    <message>
        <source>Choose images of four channels, or a network of three</source>
        <translation>4채널 이미지나 3채널 네트워크를 고르세요</translation>
    </message>
    <message>
        <source>Save it without progressive coding, or cut it into smaller pictures</source>
        <translation>점진적 부호화 없이 저장하거나 더 작은 그림으로 자르세요</translation>
    </message>
    <message>
        <source>data are missing: about {percent} of the picture, at its end, is filled with grey</source>
        <translation>데이터가 빠져 있습니다: 그림 끝의 약 {percent}이(가) 회색으로 채워졌습니다</translation>
    </message>
    <message>
        <source>the image file is damaged</source>
        <translation>이미지 파일이 손상되었습니다</translation>
    </message>
    <message>
        <source>The file ends too early: about {percent} of the picture is missing</source>
        <translation>파일이 일찍 끝납니다. 그림의 약 {percent}이(가) 없습니다</translation>
    </message>
    <message>
        <source>the file has no end marker; the picture is all there</source>
        <translation>파일에 끝 표시가 없지만 그림은 온전합니다</translation>
    </message>
    <message numerus="yes">
        <source>has no end marker</source>
        <comment>have no end marker</comment>
        <translation>
            <numerusform>끝 표시가 없습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>the file ends too early: the fine detail of the picture is missing</source>
        <translation>파일이 너무 일찍 끝납니다: 그림의 세부가 빠져 있습니다</translation>
    </message>
    <message numerus="yes">
        <source>ends too early</source>
        <comment>end too early</comment>
        <translation>
            <numerusform>너무 일찍 끝납니다</numerusform>
        </translation>
    </message>
    <message>
        <source>Save it without interlacing, or cut it into smaller pictures</source>
        <translation>인터레이스 없이 저장하거나 더 작은 그림으로 자르세요</translation>
    </message>
    <message>
        <source>Save it with 8 bits a sample, or cut it into smaller pictures</source>
        <translation>샘플당 8비트로 저장하거나 더 작은 그림으로 자르세요</translation>
    </message>
    <message>
        <source>{bits}-bit values, the high bytes shown</source>
        <translation>{bits}비트 값 중 상위 바이트를 표시합니다</translation>
    </message>
    <message>
        <source>the first of {frames} frames is read</source>
        <translation>프레임 {frames}개 중 첫 번째를 읽습니다</translation>
    </message>
    <message numerus="yes">
        <source>has further frames</source>
        <comment>have further frames</comment>
        <extracomment>How many files a summary names for each kind.</extracomment>
        <translation>
            <numerusform>프레임이 더 있습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>Copy the file again from its source, or leave it out</source>
        <extracomment>What to do about a file with broken content.</extracomment>
        <translation>파일을 원본에서 다시 복사하거나 제외하세요</translation>
    </message>
    <message>
        <source>the image declares the impossible size {width} x {height}</source>
        <extracomment>Largest picture that is opened, in pixels: 400 megapixels are 1.2 GB as RGB. Most memory that decoding one picture takes, in bytes, its file included. Pictures from this many pixels on are decoded one at a time, and PNG files of them strip by strip.</extracomment>
        <translation>이미지가 불가능한 크기 {width} x {height}을(를) 선언합니다</translation>
    </message>
    <message>
        <source>the image is too large: {size}</source>
        <translation>이미지가 너무 큽니다: {size}</translation>
    </message>
    <message>
        <source>At most {megapixels} megapixels are opened, so that no file can fill the memory</source>
        <translation>어떤 파일도 메모리를 가득 채우지 못하도록 최대 {megapixels}메가픽셀까지만 엽니다</translation>
    </message>
    <message>
        <source>Cut it into smaller pictures</source>
        <translation>더 작은 그림으로 자르세요</translation>
    </message>
    <message>
        <source>the image takes {gigabytes:.1f} GB of memory to decode</source>
        <translation>이미지를 디코딩하는 데 메모리 {gigabytes:.1f} GB가 필요합니다</translation>
    </message>
    <message>
        <source>Its pixels have {kind}; at most {gigabytes:.1f} GB are used for one image</source>
        <translation>픽셀이 {kind}입니다. 이미지 하나에 최대 {gigabytes:.1f} GB를 씁니다</translation>
    </message>
    <message>
        <source>Its header is cut off</source>
        <extracomment>Blanks and comments before each number of the header; exactly one blank ends it.</extracomment>
        <translation>헤더가 잘렸습니다</translation>
    </message>
    <message>
        <source>It declares {largest} as its largest value</source>
        <translation>최댓값을 {largest}(으)로 선언합니다</translation>
    </message>
    <message>
        <source>It holds the value {value}, above the {largest} that it declares</source>
        <translation>선언한 {largest}보다 큰 값 {value}이(가) 있습니다</translation>
    </message>
    <message>
        <source>The file ends too early</source>
        <translation>파일이 일찍 끝납니다</translation>
    </message>
    <message>
        <source>It holds something else than numbers</source>
        <translation>수가 아닌 것이 들어 있습니다</translation>
    </message>
    <message>
        <source>this is a pipe or device, not an image file</source>
        <extracomment>What to do to have HEIC images read. Largest image file, bytes. How TIFF and BigTIFF files of both byte orders begin.</extracomment>
        <translation>이미지 파일이 아니라 파이프나 장치입니다</translation>
    </message>
    <message>
        <source>Move it out of the folder</source>
        <translation>폴더 밖으로 옮기세요</translation>
    </message>
    <message>
        <source>the file of {size} is too large</source>
        <translation>{size} 파일은 너무 큽니다</translation>
    </message>
    <message>
        <source>At most {most} are read</source>
        <translation>최대 {most}까지 읽습니다</translation>
    </message>
    <message>
        <source>Cut it into tiles</source>
        <translation>타일로 자르세요</translation>
    </message>
    <message>
        <source>the image file is empty</source>
        <translation>이미지 파일이 비어 있습니다</translation>
    </message>
    <message>
        <source>Copy it again from its source</source>
        <translation>원본에서 다시 복사하세요</translation>
    </message>
    <message>
        <source>the image file is not there any more</source>
        <translation>이미지 파일이 더 이상 없습니다</translation>
    </message>
    <message>
        <source>Put it back, or press F5 in the window</source>
        <translation>되돌려 놓거나 창에서 F5를 누르세요</translation>
    </message>
    <message>
        <source>this is a folder, not an image</source>
        <translation>이미지가 아니라 폴더입니다</translation>
    </message>
    <message>
        <source>Choose a file in it</source>
        <translation>그 안의 파일을 고르세요</translation>
    </message>
    <message>
        <source>the image file cannot be read</source>
        <translation>이미지 파일을 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>Check the rights and the disk</source>
        <translation>권한과 디스크를 확인하세요</translation>
    </message>
    <message>
        <source>{install}, or convert it to JPEG or PNG</source>
        <translation>{install} 또는 JPEG나 PNG로 변환하세요</translation>
    </message>
    <message>
        <source>HEIC images are not read</source>
        <translation>HEIC 이미지를 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>pillow-heif is not installed</source>
        <translation>pillow-heif가 설치되어 있지 않습니다</translation>
    </message>
    <message>
        <source>AVIF images are not read</source>
        <translation>AVIF 이미지를 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>This Pillow cannot decode them</source>
        <translation>설치된 Pillow가 디코딩하지 못합니다</translation>
    </message>
    <message>
        <source>Install Pillow 11.3 or later</source>
        <translation>Pillow 11.3 이상을 설치하세요</translation>
    </message>
    <message>
        <source>It cannot be decoded</source>
        <translation>디코딩할 수 없습니다</translation>
    </message>
    <message>
        <source>this is not an image</source>
        <translation>이미지가 아닙니다</translation>
    </message>
    <message>
        <source>The content is of no known kind</source>
        <translation>알려진 종류의 내용이 아닙니다</translation>
    </message>
    <message>
        <source>Save it as PNG, or as TIFF without compression</source>
        <extracomment>MinSampleValue and its signed or float form, MaxSampleValue and the same, DNG&apos;s WhiteLevel and BlackLevel.</extracomment>
        <translation>PNG로, 또는 압축 없는 TIFF로 저장하세요</translation>
    </message>
    <message>
        <source>{bands} bands, the first shown</source>
        <extracomment>Pages that are asked what they are; a stack of thousands has no thumbnails behind them. JPEG (old and new), JPEG 2000 and JPEG XL in TIFF: values come back changed.</extracomment>
        <translation>밴드 {bands}개 중 첫 번째를 표시합니다</translation>
    </message>
    <message>
        <source>{bands} bands, the first three shown</source>
        <translation>밴드 {bands}개 중 처음 세 개를 표시합니다</translation>
    </message>
    <message numerus="yes">
        <source>has further bands</source>
        <comment>have further bands</comment>
        <translation>
            <numerusform>밴드가 더 있습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>the first of {slices} slices is read</source>
        <translation>단면 {slices}개 중 첫 번째를 읽습니다</translation>
    </message>
    <message numerus="yes">
        <source>has further slices</source>
        <comment>have further slices</comment>
        <translation>
            <numerusform>단면이 더 있습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>the first of {others} pages is read</source>
        <translation>페이지 {others}개 중 첫 번째를 읽습니다</translation>
    </message>
    <message numerus="yes">
        <source>has further pages</source>
        <comment>have further pages</comment>
        <translation>
            <numerusform>페이지가 더 있습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>the TIFF cannot be decoded{hint}</source>
        <translation>TIFF를 디코딩할 수 없습니다{hint}</translation>
    </message>
    <message>
        <source>The picture is in a sub-file</source>
        <translation>그림이 하위 파일에 있습니다</translation>
    </message>
    <message>
        <source>there is no device &apos;{asked}&apos;</source>
        <extracomment>Precision of arithmetic, as records spell it.</extracomment>
        <translation>장치 &apos;{asked}&apos;이(가) 없습니다</translation>
    </message>
    <message>
        <source>Atrous computes on cpu, cuda (NVIDIA, or AMD with a ROCm build of PyTorch) and mps (Apple)</source>
        <translation>Atrous는 cpu, cuda(NVIDIA, 또는 ROCm용 PyTorch를 쓰는 AMD), mps(Apple)에서 계산합니다</translation>
    </message>
    <message>
        <source>Choose auto, cpu, cuda, cuda:1 or mps</source>
        <translation>auto, cpu, cuda, cuda:1, mps 중에서 고르세요</translation>
    </message>
    <message>
        <source>this network cannot be run in tiles</source>
        <translation>이 네트워크는 타일로 실행할 수 없습니다</translation>
    </message>
    <message>
        <source>it answers {height} x {width} pixels with {rows} x {columns} scores, which do not line up from tile to tile</source>
        <translation>{height} x {width}픽셀에 {rows} x {columns} 점수를 내어 타일끼리 맞지 않습니다</translation>
    </message>
    <message>
        <source>Choose a smaller input size (resize: long_side) so that the image is computed whole</source>
        <translation>이미지를 한 번에 계산하도록 더 작은 입력 크기를 고르세요(크기 조정: long_side)</translation>
    </message>
    <message>
        <source>the image is a torch tensor</source>
        <extracomment>By (H, W, h, w): what Pillow begins with, as the second image of these sizes showed; our own loops then do the same from the third on. ``unknown`` after the first, ``neither`` where Pillow does something else. More sizes are forgotten.</extracomment>
        <translation>이미지가 torch 텐서입니다</translation>
    </message>
    <message>
        <source>Give a numpy array of bytes: (H, W, 3), with tensor.numpy()</source>
        <translation>tensor.numpy()로 만든 바이트 numpy 배열 (H, W, 3)을 주세요</translation>
    </message>
    <message>
        <source>the image is {shape}</source>
        <translation>이미지가 {shape}입니다</translation>
    </message>
    <message>
        <source>The network reads (H, W, {channels}) uint8</source>
        <translation>네트워크는 (H, W, {channels}) uint8을 읽습니다</translation>
    </message>
    <message>
        <source>Give an image with that many channels</source>
        <translation>채널 수가 그만큼인 이미지를 주세요</translation>
    </message>
    <message>
        <source>A network of another program</source>
        <extracomment>Sides of tiles that are chosen without being asked. Steps of two, so that the choice, and with it the last bit of a score, does not follow every change of free memory. A canvas up to this much larger than a tile is computed whole rather than in two tiles. Network pixels of the largest canvas that is computed whole.</extracomment>
        <translation>다른 프로그램의 네트워크</translation>
    </message>
    <message>
        <source>this model takes no threshold</source>
        <translation>이 모델에는 임계값이 없습니다</translation>
    </message>
    <message>
        <source>it has a score for each of its {count} classes, and the largest decides</source>
        <translation>클래스 {count}개마다 점수가 있고 가장 큰 것으로 정합니다</translation>
    </message>
    <message>
        <source>Leave the threshold out, or choose a model of one channel (sigmoid)</source>
        <translation>임계값을 빼거나 1채널(시그모이드) 모델을 고르세요</translation>
    </message>
    <message>
        <source>Choose a number such as 0.5</source>
        <translation>0.5 같은 수를 고르세요</translation>
    </message>
    <message>
        <source>The image is so narrow that {rule} would enlarge it without bound; it is enlarged less.</source>
        <translation>이미지가 매우 좁아서 {rule}을(를) 따르면 한없이 커집니다. 덜 확대했습니다.</translation>
    </message>
    <message>
        <source>the network gave numbers that are not finite</source>
        <translation>네트워크가 유한하지 않은 수를 냈습니다</translation>
    </message>
    <message>
        <source>the weights are damaged, or they expect another input scale</source>
        <translation>가중치가 손상되었거나 입력 눈금이 다릅니다</translation>
    </message>
    <message>
        <source>Load another checkpoint, or check mean and standard deviation on its model card</source>
        <translation>다른 체크포인트를 불러오거나 모델 카드의 평균과 표준 편차를 확인하세요</translation>
    </message>
    <message>
        <source>{precision} overflowed; computed in fp32.</source>
        <translation>{precision}의 범위를 넘어서 fp32로 계산했습니다.</translation>
    </message>
    <message>
        <source>Little memory is free: computed in tiles of {tile} pixels. Labels may differ by a few pixels from those of the whole image.</source>
        <translation>사용할 수 있는 메모리가 적어서 {tile}픽셀 타일로 계산했습니다. 라벨이 이미지 전체로 계산한 것과 몇 픽셀 다를 수 있습니다.</translation>
    </message>
    <message>
        <source>{device} has too little free memory for this network</source>
        <translation>{device}의 남은 메모리가 이 네트워크에 부족합니다</translation>
    </message>
    <message>
        <source>not even {side} x {side} pixels at a time fit</source>
        <translation>한 번에 {side} x {side}픽셀도 들어가지 않습니다</translation>
    </message>
    <message>
        <source>Close other programs that use it, choose the CPU or a smaller network, or use output stride 16</source>
        <translation>장치를 쓰는 다른 프로그램을 닫거나, CPU나 더 작은 네트워크를 고르거나, 출력 스트라이드 16을 쓰세요</translation>
    </message>
    <message>
        <source>Memory ran out; computed in tiles of {tile} pixels.</source>
        <translation>메모리가 부족해서 {tile}픽셀 타일로 계산했습니다.</translation>
    </message>
    <message>
        <source>the model &apos;{model}&apos; and the catalog &apos;{catalog}&apos; have no class in common</source>
        <translation>모델 &apos;{model}&apos;와(과) 카탈로그 &apos;{catalog}&apos;에 공통된 클래스가 없습니다</translation>
    </message>
    <message>
        <source>The model knows {model_classes}, ...; the catalog {classes}, ...</source>
        <translation>모델의 클래스: {model_classes}, ... 카탈로그의 클래스: {classes}, ...</translation>
    </message>
    <message>
        <source>Choose a model of the same classes</source>
        <translation>클래스가 같은 모델을 고르세요</translation>
    </message>
    <message>
        <source>pixel ({x}, {y}) lies outside the image of {width} x {height}</source>
        <extracomment>Largest side of the window of the computed gradient, in network pixels: a backward pass keeps every activation, some 3 KB per pixel in a ResNet-101, and takes twice the time of the forward pass.</extracomment>
        <translation>픽셀 ({x}, {y})이(가) {width} x {height} 이미지 밖에 있습니다</translation>
    </message>
    <message>
        <source>this model has no receptive field to show</source>
        <translation>이 모델에는 보여 줄 수용 영역이 없습니다</translation>
    </message>
    <message>
        <source>{engine} runs it as a finished graph, without layers to count and without gradients</source>
        <extracomment>Operations whose output has the shape of their first input.</extracomment>
        <translation>{engine}이(가) 완성된 그래프로 실행해, 셀 층도 기울기도 없습니다</translation>
    </message>
    <message>
        <source>this model has no features to compare images by</source>
        <extracomment>Longer side, px, that an image is shrunk to first: its content is seen at that size, and a folder takes a part of the time.</extracomment>
        <translation>이 모델에는 이미지를 비교할 특징이 없습니다</translation>
    </message>
    <message>
        <source>{engine} runs it as a finished graph, without layers to look into</source>
        <translation>{engine}이(가) 완성된 그래프로 실행해, 들여다볼 층이 없습니다</translation>
    </message>
    <message>
        <source>Choose a model of safetensors or PyTorch weights</source>
        <translation>safetensors나 PyTorch 가중치 모델을 고르세요</translation>
    </message>
    <message>
        <source>Choose a network with convolutions</source>
        <translation>합성곱이 있는 네트워크를 고르세요</translation>
    </message>
    <message>
        <source>{device} has too little free memory for the receptive field</source>
        <translation>{device}의 남은 메모리가 수용 영역 계산에 부족합니다</translation>
    </message>
    <message>
        <source>a backward pass keeps the features of every layer</source>
        <translation>역전파는 모든 층의 특징을 보관합니다</translation>
    </message>
    <message>
        <source>Close other programs that use it, or choose a smaller network</source>
        <translation>장치를 쓰는 다른 프로그램을 닫거나 더 작은 네트워크를 고르세요</translation>
    </message>
    <message>
        <source>&apos;{part}&apos; is no variant</source>
        <translation>&apos;{part}&apos;은(는) 변형이 아닙니다</translation>
    </message>
    <message>
        <source>Write os8, flip, scales:0.75,1, crf:v2, threshold:0.4, precision:bf16 or engine:onnx, or several joined by +</source>
        <translation>os8, flip, scales:0.75,1, crf:v2, threshold:0.4, precision:bf16, engine:onnx 중에서 쓰거나 +로 이으세요</translation>
    </message>
    <message>
        <source>The engine {engine}</source>
        <translation>{engine} 엔진</translation>
    </message>
    <message>
        <source>a label map of &apos;{catalog}&apos; is a two-dimensional {dtype} array</source>
        <extracomment>(H, W): uint8, or uint16 for a wide catalog. How many undeclared values an error message names.</extracomment>
        <translation>&apos;{catalog}&apos;의 라벨 맵은 2차원 {dtype} 배열입니다</translation>
    </message>
    <message>
        <source>This one has the shape {shape} and the type {dtype}</source>
        <translation>이 배열의 모양은 {shape}, 자료형은 {dtype}입니다</translation>
    </message>
    <message>
        <source>a label map needs at least one pixel</source>
        <translation>라벨 맵에는 픽셀이 하나 이상 있어야 합니다</translation>
    </message>
    <message>
        <source>This one has the shape {shape}</source>
        <translation>이 배열의 모양은 {shape}입니다</translation>
    </message>
    <message>
        <source>a label map is C-contiguous</source>
        <translation>라벨 맵은 C 연속이어야 합니다</translation>
    </message>
    <message>
        <source>Pass it through numpy.ascontiguousarray</source>
        <translation>numpy.ascontiguousarray를 거치세요</translation>
    </message>
    <message>
        <source>the label map holds ids that &apos;{catalog}&apos; does not declare: {ids}</source>
        <translation>라벨 맵에 &apos;{catalog}&apos;이(가) 선언하지 않은 ID가 있습니다: {ids}</translation>
    </message>
    <message>
        <source>Choose the catalog that these labels belong to</source>
        <translation>이 라벨에 맞는 카탈로그를 고르세요</translation>
    </message>
    <message>
        <source>{name} &apos;{value}&apos; is unknown</source>
        <extracomment>Corrected images that are learned from at most; of more, evenly chosen ones are. From this many corrected images on they are left out in fewer groups. A change of IoU that is shown as 0.0 points.</extracomment>
        <translation>{name} &apos;{value}&apos;을(를) 알 수 없습니다</translation>
    </message>
    <message>
        <source>Choose one of {choices}</source>
        <translation>{choices} 중 하나를 고르세요</translation>
    </message>
    <message>
        <source>the number of background images is negative</source>
        <translation>배경 이미지 수가 음수입니다</translation>
    </message>
    <message>
        <source>Choose 0 or more</source>
        <translation>0 이상을 고르세요</translation>
    </message>
    <message>
        <source>not a report of learning</source>
        <translation>학습 보고서가 아닙니다</translation>
    </message>
    <message>
        <source>{code} is not a code of who set a pixel</source>
        <extracomment>Value in the picture -&gt; what it means. They are the codes that a project keeps for its pixels. Codes of pixels with a class that a user chose. Folder of the pictures, below the target of an export.</extracomment>
        <translation>{code}은(는) 누가 픽셀을 정했는지 나타내는 코드가 아닙니다</translation>
    </message>
    <message>
        <source>Known are 0..{highest}</source>
        <translation>알려진 코드는 0..{highest}입니다</translation>
    </message>
    <message>
        <source>the picture of who set each pixel is damaged</source>
        <translation>픽셀마다 누가 정했는지 나타내는 그림이 손상되었습니다</translation>
    </message>
    <message>
        <source>Its values are not 0..{highest}</source>
        <translation>값이 0..{highest}이(가) 아닙니다</translation>
    </message>
    <message>
        <source>Export the masks again, or remove the picture</source>
        <translation>마스크를 다시 내보내거나 그림을 제거하세요</translation>
    </message>
    <message>
        <source>the marker of the folder names a file outside of it</source>
        <translation>폴더의 표지가 폴더 밖의 파일을 가리킵니다</translation>
    </message>
    <message>
        <source>Export the masks again</source>
        <translation>마스크를 다시 내보내세요</translation>
    </message>
    <message>
        <source>the picture of who set each pixel has another size than the image</source>
        <translation>픽셀마다 누가 정했는지 나타내는 그림의 크기가 이미지와 다릅니다</translation>
    </message>
    <message>
        <source>&apos;{source}&apos; is too large to be written as Cityscapes ids</source>
        <extracomment>Label id 0, &quot;unlabeled&quot;: what Cityscapes&apos; label files hold for unknown pixels; they have no void value.</extracomment>
        <translation>&apos;{source}&apos;은(는) Cityscapes ID로 쓰기에 너무 큽니다</translation>
    </message>
    <message>
        <source>Export raw ids instead</source>
        <translation>대신 원시 ID로 내보내세요</translation>
    </message>
    <message>
        <source>Cityscapes has no class for {lost}</source>
        <translation>Cityscapes에 {lost}에 해당하는 클래스가 없습니다</translation>
    </message>
    <message>
        <source>Map them to classes of Cityscapes, allow them to become void, or choose another format</source>
        <translation>Cityscapes의 클래스에 연결하거나, void가 되도록 허용하거나, 다른 형식을 고르세요</translation>
    </message>
    <message>
        <source>the colours do not read back equal</source>
        <extracomment>Names that the benchmark&apos;s own scripts can take apart: city, sequence and frame.</extracomment>
        <translation>색을 다시 읽으니 같지 않습니다</translation>
    </message>
    <message>
        <source>&apos;{text}&apos; maps no class</source>
        <extracomment>What stands for void in a class map.</extracomment>
        <translation>&apos;{text}&apos;은(는) 클래스를 연결하지 않습니다</translation>
    </message>
    <message>
        <source>Write OLD=NEW, or OLD=void</source>
        <translation>OLD=NEW 또는 OLD=void로 쓰세요</translation>
    </message>
    <message>
        <source>&apos;{source}&apos; is mapped to &apos;{one}&apos; and to &apos;{other}&apos;</source>
        <translation>&apos;{source}&apos;이(가) &apos;{one}&apos;와(과) &apos;{other}&apos;에 연결되었습니다</translation>
    </message>
    <message>
        <source>Name each class once</source>
        <translation>클래스마다 한 번만 적으세요</translation>
    </message>
    <message>
        <source>&apos;{source}&apos; has no class &apos;{name}&apos;</source>
        <translation>&apos;{source}&apos;에 &apos;{name}&apos; 클래스가 없습니다</translation>
    </message>
    <message>
        <source>Its classes are {names}</source>
        <extracomment>What the user calls void.</extracomment>
        <translation>클래스: {names}</translation>
    </message>
    <message>
        <source>&apos;{target}&apos; has no class &apos;{class_name}&apos;</source>
        <translation>&apos;{target}&apos;에 &apos;{class_name}&apos; 클래스가 없습니다</translation>
    </message>
    <message>
        <source>every class is mapped to void</source>
        <translation>모든 클래스가 void에 연결되었습니다</translation>
    </message>
    <message>
        <source>Leave at least one class</source>
        <translation>클래스를 하나 이상 남기세요</translation>
    </message>
    <message>
        <source>{catalog} has no class for {lost}</source>
        <translation>{catalog}에 {lost}에 해당하는 클래스가 없습니다</translation>
    </message>
    <message>
        <source>Choose what each becomes, or allow them to become void</source>
        <translation>각각 무엇이 될지 고르거나 void가 되도록 허용하세요</translation>
    </message>
    <message>
        <source>the entries of the images do not read back equal</source>
        <translation>이미지 항목을 다시 읽으니 같지 않습니다</translation>
    </message>
    <message>
        <source>the shapes in the file differ from the mask</source>
        <translation>파일의 도형이 마스크와 다릅니다</translation>
    </message>
    <message>
        <source>run lengths do not add up to the image</source>
        <translation>런 길이의 합이 이미지와 맞지 않습니다</translation>
    </message>
    <message>
        <source>annotations of one image overlap</source>
        <translation>한 이미지의 주석이 겹칩니다</translation>
    </message>
    <message>
        <source>the exported json does not read back</source>
        <translation>내보낸 json을 다시 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>another photograph of this name is already there</source>
        <extracomment>Ending of a mask -&gt; ending of its world file.</extracomment>
        <translation>같은 이름의 다른 이미지가 이미 있습니다</translation>
    </message>
    <message>
        <source>A photograph is never replaced</source>
        <translation>원본 이미지는 바꾸지 않습니다</translation>
    </message>
    <message>
        <source>Choose another folder for the export</source>
        <translation>내보낼 다른 폴더를 고르세요</translation>
    </message>
    <message>
        <source>the copy of the photograph does not read back equal</source>
        <translation>이미지 사본을 다시 읽으니 같지 않습니다</translation>
    </message>
    <message>
        <source>who set each pixel is known for another size than the mask&apos;s</source>
        <translation>픽셀 출처의 크기가 마스크와 다릅니다</translation>
    </message>
    <message>
        <source>the picture of who set each pixel does not read back equal</source>
        <translation>픽셀마다 누가 정했는지 나타내는 그림을 다시 읽으니 같지 않습니다</translation>
    </message>
    <message>
        <source>the georeference was left out: {what}</source>
        <translation>지리 참조를 제외했습니다: {what}</translation>
    </message>
    <message numerus="yes">
        <source>has a damaged georeference</source>
        <comment>have a damaged georeference</comment>
        <translation>
            <numerusform>지리 참조가 손상되었습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>the georeference is not a plain grid and was left out</source>
        <translation>지리 참조가 단순한 격자가 아니어서 제외했습니다</translation>
    </message>
    <message numerus="yes">
        <source>has a georeference without a grid</source>
        <comment>have a georeference without a grid</comment>
        <translation>
            <numerusform>지리 참조에 격자가 없습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>the georeference was left out: the mask is turned by the EXIF orientation, the georeference is not</source>
        <translation>지리 참조를 제외했습니다: 마스크는 EXIF 방향에 따라 회전하지만 지리 참조는 그렇지 않습니다</translation>
    </message>
    <message numerus="yes">
        <source>has a georeference for the stored orientation</source>
        <comment>have a georeference for the stored orientation</comment>
        <translation>
            <numerusform>저장된 방향의 지리 참조가 있습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>a world file holds the place of the pixels, not the coordinate system; the format geotiff keeps both</source>
        <translation>월드 파일은 픽셀의 위치만 담고 좌표계는 담지 않습니다. geotiff 형식은 둘 다 담습니다</translation>
    </message>
    <message numerus="yes">
        <source>has a coordinate system that a world file does not name</source>
        <comment>have a coordinate system that a world file does not name</comment>
        <translation>
            <numerusform>월드 파일이 담지 못하는 좌표계가 있습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>the exported XML does not read back</source>
        <extracomment>Characters that XML 1.0 cannot hold, escaped or not.</extracomment>
        <translation>내보낸 XML을 다시 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>the shapes in the file differ from the masks</source>
        <translation>파일의 도형이 마스크와 다릅니다</translation>
    </message>
    <message>
        <source>XML cannot hold the name {name}</source>
        <translation>XML에 {name}이라는 이름을 쓸 수 없습니다</translation>
    </message>
    <message>
        <source>Rename it, or choose another format</source>
        <translation>이름을 바꾸거나 다른 형식을 고르세요</translation>
    </message>
    <message>
        <source>two images would have one mask in the zip</source>
        <translation>두 이미지의 마스크가 zip에서 하나가 됩니다</translation>
    </message>
    <message>
        <source>Keep the endings in the names</source>
        <translation>이름에 확장자를 유지하세요</translation>
    </message>
    <message>
        <source>the exported zip does not read back</source>
        <translation>내보낸 zip을 다시 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>a picture in the zip differs from its mask</source>
        <translation>zip의 그림이 마스크와 다릅니다</translation>
    </message>
    <message>
        <source>&apos;{class_name}&apos; is black, or called background, which means unlabelled in CVAT</source>
        <translation>&apos;{class_name}&apos;이(가) 검은색이거나 background라는 이름인데, CVAT에서는 라벨 없음을 뜻합니다</translation>
    </message>
    <message>
        <source>Give the class another colour or name, or choose another format</source>
        <translation>클래스에 다른 색이나 이름을 주거나 다른 형식을 고르세요</translation>
    </message>
    <message numerus="yes">
        <source>{n} pixel with another class</source>
        <comment>{n} pixels with another class</comment>
        <extracomment>What happens to the photographs of a layout that has a place for them. The part of a data set that an image without a split belongs to.</extracomment>
        <translation>
            <numerusform>픽셀 {n}개의 클래스가 바뀜</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} void pixel as background</source>
        <comment>{n} void pixels as background</comment>
        <translation>
            <numerusform>void 픽셀 {n}개가 배경이 됨</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} hole filled</source>
        <comment>{n} holes filled</comment>
        <translation>
            <numerusform>구멍 {n}개가 채워짐</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} pixel</source>
        <comment>{n} pixels</comment>
        <translation>
            <numerusform>픽셀 {n}개</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} tiny region left out ({pixels})</source>
        <comment>{n} tiny regions left out ({pixels})</comment>
        <translation>
            <numerusform>아주 작은 영역 {n}개 제외 ({pixels})</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} pixel of classes without a partner as void</source>
        <comment>{n} pixels of classes without a partner as void</comment>
        <translation>
            <numerusform>대응하는 클래스가 없는 픽셀 {n}개가 void가 됨</numerusform>
        </translation>
    </message>
    <message>
        <source>the exported file does not read back</source>
        <translation>내보낸 파일을 다시 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>the exported file has another size than the mask</source>
        <translation>내보낸 파일의 크기가 마스크와 다릅니다</translation>
    </message>
    <message>
        <source>the exported file differs from the mask in {pixels:,} px</source>
        <translation>내보낸 파일이 마스크와 {pixels:,} px 다릅니다</translation>
    </message>
    <message>
        <source>the exported file does not read back equal</source>
        <translation>내보낸 파일을 다시 읽으니 같지 않습니다</translation>
    </message>
    <message>
        <source>the labels belong to another catalog than the rest of the export</source>
        <translation>라벨의 카탈로그가 나머지 내보내기와 다릅니다</translation>
    </message>
    <message>
        <source>Check the disk, then export again; the mask itself is safe in the project</source>
        <extracomment>What to do when a file does not hold what was written into it.</extracomment>
        <translation>디스크를 확인한 뒤 다시 내보내세요. 마스크 자체는 프로젝트에 안전하게 있습니다</translation>
    </message>
    <message>
        <source>yes</source>
        <extracomment>Options that formats may have; each is an argument of the format&apos;s class.</extracomment>
        <translation>예</translation>
    </message>
    <message>
        <source>classes without a partner by name are refused, or become void on request</source>
        <extracomment>Short for the tables below; the window translates what it shows of them.</extracomment>
        <translation>이름으로 대응되지 않는 클래스는 거부하거나, 요청하면 void가 됩니다</translation>
    </message>
    <message>
        <source>Indexed PNG with palette (VOC style)</source>
        <translation>팔레트가 있는 인덱스 PNG(VOC 방식)</translation>
    </message>
    <message>
        <source>NAME.png: value = class id, palette = class colours</source>
        <translation>NAME.png: 값 = 클래스 ID, 팔레트 = 클래스 색</translation>
    </message>
    <message>
        <source>yes; refused for ids above 254</source>
        <translation>예, 254보다 큰 ID는 거부</translation>
    </message>
    <message>
        <source>Grey PNG of class ids</source>
        <translation>클래스 ID의 회색조 PNG</translation>
    </message>
    <message>
        <source>NAME.png: 8 bit, 16 bit where ids need it</source>
        <translation>NAME.png: 8비트, ID에 필요하면 16비트</translation>
    </message>
    <message>
        <source>Grey PNG of class ids, always 16 bit</source>
        <translation>클래스 ID의 회색조 PNG, 항상 16비트</translation>
    </message>
    <message>
        <source>NAME.png: 16 bit</source>
        <translation>NAME.png: 16비트</translation>
    </message>
    <message>
        <source>Colour PNG</source>
        <translation>컬러 PNG</translation>
    </message>
    <message>
        <source>NAME.png: RGB class colours</source>
        <translation>NAME.png: RGB 클래스 색</translation>
    </message>
    <message>
        <source>yes; refused where two classes that occur share a colour</source>
        <translation>예, 나오는 두 클래스의 색이 같으면 거부</translation>
    </message>
    <message>
        <source>One binary mask per class</source>
        <translation>클래스마다 이진 마스크 하나</translation>
    </message>
    <message>
        <source>CLASS/NAME.png: 255 where the class is; void is in none</source>
        <translation>CLASS/NAME.png: 클래스가 있는 곳이 255, void는 어디에도 없음</translation>
    </message>
    <message>
        <source>NumPy array of class ids</source>
        <translation>클래스 ID의 NumPy 배열</translation>
    </message>
    <message>
        <source>NAME.npy: (H, W) ids</source>
        <translation>NAME.npy: (H, W) ID</translation>
    </message>
    <message>
        <source>NumPy archive: labels, ids, names</source>
        <translation>NumPy 묶음: 라벨, ID, 이름</translation>
    </message>
    <message>
        <source>NAME.npz: labels, ids, names, void</source>
        <translation>NAME.npz: 라벨, ID, 이름, void</translation>
    </message>
    <message>
        <source>GeoTIFF of class ids</source>
        <translation>클래스 ID의 GeoTIFF</translation>
    </message>
    <message>
        <source>NAME.tif with the image&apos;s georeference, NAME.tfw</source>
        <translation>이미지의 지리 참조가 있는 NAME.tif, NAME.tfw</translation>
    </message>
    <message>
        <source>ground control points are tags only, not a world file</source>
        <translation>지상 기준점은 태그로만 남고 월드 파일에는 없음</translation>
    </message>
    <message>
        <source>Pascal VOC data set</source>
        <translation>Pascal VOC 데이터 세트</translation>
    </message>
    <message>
        <source>SegmentationClass, JPEGImages, ImageSets/Segmentation/SPLIT.txt, labelmap.txt</source>
        <translation>SegmentationClass, JPEGImages, ImageSets/Segmentation/SPLIT.txt, labelmap.txt</translation>
    </message>
    <message>
        <source>Cityscapes data set</source>
        <translation>Cityscapes 데이터 세트</translation>
    </message>
    <message>
        <source>yes, in the classes of Cityscapes</source>
        <translation>예, Cityscapes의 클래스에서</translation>
    </message>
    <message>
        <source>gtFine/SPLIT/CITY: labelIds, labelTrainIds, color; leftImg8bit/SPLIT/CITY</source>
        <translation>gtFine/SPLIT/CITY: labelIds, labelTrainIds, color; leftImg8bit/SPLIT/CITY</translation>
    </message>
    <message>
        <source>Cityscapes label ids</source>
        <translation>Cityscapes 라벨 ID</translation>
    </message>
    <message>
        <source>NAME_gtFine_labelIds.png</source>
        <translation>NAME_gtFine_labelIds.png</translation>
    </message>
    <message>
        <source>Cityscapes train ids</source>
        <translation>Cityscapes 학습 ID</translation>
    </message>
    <message>
        <source>NAME_gtFine_labelTrainIds.png</source>
        <translation>NAME_gtFine_labelTrainIds.png</translation>
    </message>
    <message>
        <source>yes, in the 19 classes of the benchmark</source>
        <translation>예, 벤치마크의 19개 클래스에서</translation>
    </message>
    <message>
        <source>ADE20K scene parsing data set</source>
        <translation>ADE20K 장면 파싱 데이터 세트</translation>
    </message>
    <message>
        <source>annotations/training, images/training, objectInfo.txt: value n = n-th class, 0 = void</source>
        <translation>annotations/training, images/training, objectInfo.txt: 값 n = n번째 클래스, 0 = void</translation>
    </message>
    <message>
        <source>yes; refused above 254 classes</source>
        <translation>예, 클래스가 254개를 넘으면 거부</translation>
    </message>
    <message>
        <source>COCO json with run-length masks</source>
        <translation>런 길이 마스크가 있는 COCO json</translation>
    </message>
    <message>
        <source>annotations.json</source>
        <translation>annotations.json</translation>
    </message>
    <message>
        <source>void: other programs see background; Atrous reads it from the file</source>
        <translation>void: 다른 프로그램은 배경으로 보고, Atrous는 파일에서 읽습니다</translation>
    </message>
    <message>
        <source>COCO json, a shape for each region</source>
        <translation>COCO json, 영역마다 도형 하나</translation>
    </message>
    <message>
        <source>annotations.json: polygons or run-length masks</source>
        <translation>annotations.json: 다각형 또는 런 길이 마스크</translation>
    </message>
    <message>
        <source>yes, without tolerance and least size</source>
        <translation>예, 허용 오차와 최소 크기가 없을 때</translation>
    </message>
    <message>
        <source>COCO panoptic</source>
        <translation>COCO 파놉틱</translation>
    </message>
    <message>
        <source>panoptic_SPLIT/NAME.png, panoptic_SPLIT.json; 0 is void</source>
        <translation>panoptic_SPLIT/NAME.png, panoptic_SPLIT.json, 0은 void</translation>
    </message>
    <message>
        <source>labelme JSON</source>
        <extracomment>All formats, in the order in which choices are shown.</extracomment>
        <translation>labelme JSON</translation>
    </message>
    <message>
        <source>NAME.json beside its image</source>
        <translation>이미지 옆의 NAME.json</translation>
    </message>
    <message>
        <source>YOLO segmentation data set</source>
        <translation>YOLO 세그먼테이션 데이터 세트</translation>
    </message>
    <message>
        <source>labels/SPLIT/NAME.txt, images/SPLIT, data.yaml</source>
        <translation>labels/SPLIT/NAME.txt, images/SPLIT, data.yaml</translation>
    </message>
    <message>
        <source>yes but void, without tolerance and least size</source>
        <translation>void를 빼고 예, 허용 오차와 최소 크기가 없을 때</translation>
    </message>
    <message>
        <source>void becomes background where the classes have one</source>
        <translation>클래스에 배경이 있으면 void가 배경이 됨</translation>
    </message>
    <message>
        <source>CVAT for images 1.1 (XML)</source>
        <translation>CVAT for images 1.1(XML)</translation>
    </message>
    <message>
        <source>annotations.xml: masks or polygons</source>
        <translation>annotations.xml: 마스크 또는 다각형</translation>
    </message>
    <message>
        <source>CVAT segmentation mask 1.1 (zip)</source>
        <translation>CVAT segmentation mask 1.1(zip)</translation>
    </message>
    <message>
        <source>masks.zip: SegmentationClass, ImageSets, labelmap.txt</source>
        <translation>masks.zip: SegmentationClass, ImageSets, labelmap.txt</translation>
    </message>
    <message>
        <source>yes but void; refused where classes share a colour</source>
        <translation>void를 빼고 예, 클래스의 색이 같으면 거부</translation>
    </message>
    <message>
        <source>Parquet of image and mask pairs</source>
        <translation>이미지와 마스크 쌍의 Parquet</translation>
    </message>
    <message>
        <source>data/SPLIT.parquet: columns image and mask</source>
        <translation>data/SPLIT.parquet: image 열과 mask 열</translation>
    </message>
    <message>
        <source>Overlay picture</source>
        <translation>오버레이 그림</translation>
    </message>
    <message>
        <source>NAME_overlay.png</source>
        <translation>NAME_overlay.png</translation>
    </message>
    <message>
        <source>no: a picture to look at</source>
        <translation>아니요: 보기 위한 그림</translation>
    </message>
    <message>
        <source>the labels</source>
        <translation>라벨</translation>
    </message>
    <message>
        <source>there is no export format &apos;{name}&apos;</source>
        <extracomment>Every format by name, in the order in which choices are shown.</extracomment>
        <translation>내보내기 형식 &apos;{name}&apos;이(가) 없습니다</translation>
    </message>
    <message>
        <source>Choose one of {formats}</source>
        <translation>{formats} 중 하나를 고르세요</translation>
    </message>
    <message>
        <source>a world file has six numbers</source>
        <extracomment>ModelPixelScale, ModelTiepoint, ModelTransformation, GeoKeyDirectory, GeoDoubleParams, GeoAsciiParams. GDAL&apos;s text for the value that holds no data.</extracomment>
        <translation>월드 파일에는 수가 여섯 개 있습니다</translation>
    </message>
    <message>
        <source>This one has {count}</source>
        <translation>이 파일에는 {count}개 있습니다</translation>
    </message>
    <message>
        <source>the georeference does not read back equal</source>
        <translation>지리 참조를 다시 읽으니 같지 않습니다</translation>
    </message>
    <message>
        <source>&apos;{ignored}&apos; or &apos;{background}&apos; is the name of a class</source>
        <extracomment>labelme&apos;s own names for pixels without a class, and for pixels that count nowhere.</extracomment>
        <translation>&apos;{ignored}&apos; 또는 &apos;{background}&apos;이(가) 클래스 이름입니다</translation>
    </message>
    <message>
        <source>Rename the class</source>
        <translation>클래스 이름을 바꾸세요</translation>
    </message>
    <message>
        <source>the exported arrays do not read back equal</source>
        <translation>내보낸 배열을 다시 읽으니 같지 않습니다</translation>
    </message>
    <message>
        <source>the mask of &apos;{folder}&apos; does not read back equal</source>
        <translation>&apos;{folder}&apos;의 마스크를 다시 읽으니 같지 않습니다</translation>
    </message>
    <message>
        <source>&apos;{class_name}&apos; has the same colour {color} as &apos;{other}&apos;</source>
        <translation>&apos;{class_name}&apos;의 색 {color}이(가) &apos;{other}&apos;와(과) 같습니다</translation>
    </message>
    <message>
        <source>The classes could not be told apart in the file</source>
        <translation>파일에서 클래스를 구별할 수 없게 됩니다</translation>
    </message>
    <message>
        <source>Give the classes different colours, or export ids</source>
        <translation>클래스에 다른 색을 주거나 ID로 내보내세요</translation>
    </message>
    <message>
        <source>the overlay could not be encoded</source>
        <translation>오버레이를 인코딩할 수 없었습니다</translation>
    </message>
    <message>
        <source>Export the mask instead</source>
        <translation>대신 마스크를 내보내세요</translation>
    </message>
    <message>
        <source>the exported overlay does not read back equal</source>
        <translation>내보낸 오버레이를 다시 읽으니 같지 않습니다</translation>
    </message>
    <message>
        <source>an overlay needs the photograph</source>
        <translation>오버레이에는 원본 이미지가 필요합니다</translation>
    </message>
    <message>
        <source>the mask does not have the size of its photograph</source>
        <translation>마스크의 크기가 이미지와 다릅니다</translation>
    </message>
    <message>
        <source>the segments do not read back equal</source>
        <translation>세그먼트를 다시 읽으니 같지 않습니다</translation>
    </message>
    <message>
        <source>the earlier export has other classes</source>
        <translation>이전에 내보낸 결과의 클래스가 다릅니다</translation>
    </message>
    <message>
        <source>Replace its files, or export into another folder</source>
        <translation>그 파일을 바꾸거나 다른 폴더에 내보내세요</translation>
    </message>
    <message>
        <source>the JSON of the earlier export is damaged</source>
        <translation>이전에 내보낸 JSON이 손상되었습니다</translation>
    </message>
    <message>
        <source>Replace its files</source>
        <translation>그 파일을 바꾸세요</translation>
    </message>
    <message>
        <source>a pair needs the photograph</source>
        <extracomment>Rows are written in groups of about so many bytes.</extracomment>
        <translation>쌍에는 원본 이미지가 필요합니다</translation>
    </message>
    <message>
        <source>Export the mask in another format</source>
        <translation>마스크를 다른 형식으로 내보내세요</translation>
    </message>
    <message>
        <source>the photograph cannot be read</source>
        <translation>이미지를 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>the pairs in the file differ from what was written</source>
        <translation>파일의 쌍이 쓴 내용과 다릅니다</translation>
    </message>
    <message>
        <source>Evaluate this shard again</source>
        <extracomment>Ending of a part, and the file that names all shards of an evaluation. Parts of the first version had no marks of ambiguity. What is read of shards: ground truth, predictions, or both out of one.</extracomment>
        <translation>이 샤드를 다시 평가하세요</translation>
    </message>
    <message>
        <source>its masks are in shards, which a report does not open</source>
        <translation>마스크가 샤드에 있으며, 보고서는 샤드를 열지 않습니다</translation>
    </message>
    <message>
        <source>{part} was counted with other classes or options</source>
        <translation>{part}은(는) 다른 클래스나 옵션으로 집계되었습니다</translation>
    </message>
    <message>
        <source>Choose another folder with --partials</source>
        <translation>--partials로 다른 폴더를 고르세요</translation>
    </message>
    <message>
        <source>{place} holds no parts of an evaluation</source>
        <translation>{place}에는 평가의 부분 결과가 없습니다</translation>
    </message>
    <message>
        <source>Run &apos;evaluate --shards&apos; first</source>
        <translation>먼저 &apos;evaluate --shards&apos;를 실행하세요</translation>
    </message>
    <message>
        <source>{missing} of {all} shards are not evaluated yet, e.g. {first}</source>
        <translation>샤드 {all}개 중 {missing}개가 아직 평가되지 않았습니다. 예: {first}</translation>
    </message>
    <message>
        <source>Run &apos;evaluate --shards&apos; again; it does what is missing</source>
        <translation>&apos;evaluate --shards&apos;를 다시 실행하세요. 빠진 것만 평가합니다</translation>
    </message>
    <message>
        <source>{one} and {other} were counted with different classes or options</source>
        <translation>{one}과(와) {other}은(는) 서로 다른 클래스나 옵션으로 집계되었습니다</translation>
    </message>
    <message>
        <source>Evaluate all shards with the same options</source>
        <translation>모든 샤드를 같은 옵션으로 평가하세요</translation>
    </message>
    <message>
        <source>{one} and {other} both have an image &apos;{image}&apos;</source>
        <translation>{one}과(와) {other}에 모두 이미지 &apos;{image}&apos;이(가) 있습니다</translation>
    </message>
    <message>
        <source>Give each image of a set a name of its own</source>
        <translation>데이터 세트의 이미지마다 다른 이름을 주세요</translation>
    </message>
    <message>
        <source>pyarrow is not installed</source>
        <extracomment>Longest line of a manifest. How Parquet files are opened: in this thread, with checksums where there are some, and with small headers.</extracomment>
        <translation>pyarrow가 설치되어 있지 않습니다</translation>
    </message>
    <message>
        <source>Install it: {command}</source>
        <translation>설치: {command}</translation>
    </message>
    <message>
        <source>the export target is a file</source>
        <translation>내보낼 위치가 파일입니다</translation>
    </message>
    <message>
        <source>this format has no place for splits</source>
        <translation>이 형식에는 분할을 둘 곳이 없습니다</translation>
    </message>
    <message>
        <source>Leave the splits out, or choose the layout of a data set: voc, cityscapes, yolo, coco</source>
        <translation>분할을 빼거나 데이터 세트 구조를 고르세요: voc, cityscapes, yolo, coco</translation>
    </message>
    <message>
        <source>the folder holds this data set with other splits</source>
        <translation>폴더에 분할이 다른 이 데이터 세트가 있습니다</translation>
    </message>
    <message>
        <source>&apos;{item}&apos; goes to &apos;{split}&apos;, and {name} is in &apos;{other}&apos;</source>
        <translation>&apos;{item}&apos;은(는) &apos;{split}&apos;에 들어가는데 {name}은(는) &apos;{other}&apos;에 있습니다</translation>
    </message>
    <message>
        <source>Export to another folder, or delete the old data set first</source>
        <translation>다른 폴더에 내보내거나 예전 데이터 세트를 먼저 삭제하세요</translation>
    </message>
    <message>
        <source>exporting &apos;{item}&apos; would overwrite a photograph</source>
        <translation>&apos;{item}&apos;을(를) 내보내면 원본 이미지를 덮어쓰게 됩니다</translation>
    </message>
    <message>
        <source>&apos;{item}&apos; is not a path below a project</source>
        <translation>&apos;{item}&apos;은(는) 프로젝트 아래의 경로가 아닙니다</translation>
    </message>
    <message>
        <source>&apos;{name}&apos; and {others} would be written to the same file</source>
        <translation>&apos;{name}&apos;와(과) {others}이(가) 같은 파일에 쓰이게 됩니다</translation>
    </message>
    <message>
        <source>Their names differ only in {difference}</source>
        <translation>이름이 {difference}만 다릅니다</translation>
    </message>
    <message>
        <source>Rename one of them</source>
        <translation>하나의 이름을 바꾸세요</translation>
    </message>
    <message>
        <source>Rename one of them, or keep the endings in the names</source>
        <translation>하나의 이름을 바꾸거나 이름에 확장자를 유지하세요</translation>
    </message>
    <message>
        <source>{number} exported and read back</source>
        <extracomment>Lists and tables that all images share, bytes. A disk that refuses this many files in a row will refuse the rest.</extracomment>
        <translation>{number}개를 내보내고 다시 읽어 확인했습니다</translation>
    </message>
    <message>
        <source>{number} skipped ({reason})</source>
        <translation>{number}개 건너뜀 ({reason})</translation>
    </message>
    <message>
        <source>{number} failed</source>
        <translation>{number}개 실패</translation>
    </message>
    <message>
        <source>{number} not tried</source>
        <translation>{number}개 시도하지 않음</translation>
    </message>
    <message>
        <source>not carried by the format, in {images}: {loss}</source>
        <translation>{images}에서 형식이 담지 못한 것: {loss}</translation>
    </message>
    <message>
        <source>Cancelled: {text}</source>
        <translation>취소됨: {text}</translation>
    </message>
    <message>
        <source>{count:,} of the files are already there, the first is {file}</source>
        <translation>파일 {count:,}개가 이미 있습니다. 첫 파일은 {file}입니다</translation>
    </message>
    <message>
        <source>Nothing was written</source>
        <translation>아무것도 쓰지 않았습니다</translation>
    </message>
    <message>
        <source>Choose to replace or to skip them, or another folder</source>
        <translation>바꿀지 건너뛸지 고르거나 다른 폴더를 고르세요</translation>
    </message>
    <message>
        <source>the mask has {mask_width} x {mask_height} px, but the image has {width} x {height}</source>
        <translation>마스크는 {mask_width} x {mask_height} px인데 이미지는 {width} x {height}입니다</translation>
    </message>
    <message>
        <source>The image was changed since it was labelled; open the folder again</source>
        <translation>라벨을 만든 뒤 이미지가 바뀌었습니다. 폴더를 다시 여세요</translation>
    </message>
    <message>
        <source>already there</source>
        <translation>이미 있음</translation>
    </message>
    <message>
        <source>no mask</source>
        <translation>마스크 없음</translation>
    </message>
    <message>
        <source>the format {format} has no option &apos;{option}&apos;</source>
        <translation>형식 {format}에 옵션 &apos;{option}&apos;이(가) 없습니다</translation>
    </message>
    <message>
        <source>Its options are {known}</source>
        <translation>옵션: {known}</translation>
    </message>
    <message>
        <source>It has no options</source>
        <translation>옵션이 없습니다</translation>
    </message>
    <message>
        <source>splits are given by shares and by lists</source>
        <translation>분할을 비율과 목록으로 모두 지정했습니다</translation>
    </message>
    <message>
        <source>Give one of them</source>
        <translation>하나만 지정하세요</translation>
    </message>
    <message>
        <source>&apos;{text}&apos; is not a share of a split</source>
        <extracomment>What splits are called besides the user&apos;s own words.</extracomment>
        <translation>&apos;{text}&apos;은(는) 분할의 비율이 아닙니다</translation>
    </message>
    <message>
        <source>the split &apos;{name}&apos; is named twice</source>
        <translation>분할 &apos;{name}&apos;이(가) 두 번 나옵니다</translation>
    </message>
    <message>
        <source>Name each split once</source>
        <translation>분할마다 한 번만 적으세요</translation>
    </message>
    <message>
        <source>the shares add up to {total:g}</source>
        <translation>비율의 합이 {total:g}입니다</translation>
    </message>
    <message>
        <source>Make them add up to {whole:g}, or less</source>
        <translation>합이 {whole:g} 이하가 되게 하세요</translation>
    </message>
    <message>
        <source>&apos;{pattern}&apos; is not a regular expression</source>
        <translation>&apos;{pattern}&apos;은(는) 정규식이 아닙니다</translation>
    </message>
    <message>
        <source>Correct it, or say parent</source>
        <translation>고치거나 parent라고 쓰세요</translation>
    </message>
    <message>
        <source>{images} in {groups} cannot be shared out to {count} splits</source>
        <translation>{groups}의 {images}을(를) 분할 {count}개로 나눌 수 없습니다</translation>
    </message>
    <message>
        <source>Images of one group, and duplicates, stay together</source>
        <translation>한 그룹의 이미지와 중복 이미지는 나뉘지 않습니다</translation>
    </message>
    <message>
        <source>Choose a finer grouping, or fewer splits</source>
        <translation>더 잘게 묶거나 분할을 줄이세요</translation>
    </message>
    <message>
        <source>&apos;{line}&apos; names several images: {images}</source>
        <translation>&apos;{line}&apos;에 여러 이미지가 해당합니다: {images}</translation>
    </message>
    <message>
        <source>Correct the list; name images by their whole paths</source>
        <translation>목록을 고치세요. 이미지는 전체 경로로 적으세요</translation>
    </message>
    <message>
        <source>the list names no image that is exported</source>
        <translation>목록에 내보내는 이미지가 없습니다</translation>
    </message>
    <message>
        <source>Its first line is &apos;{line}&apos;</source>
        <translation>첫 줄은 &apos;{line}&apos;입니다</translation>
    </message>
    <message>
        <source>Correct the list, or export more images</source>
        <translation>목록을 고치거나 더 많은 이미지를 내보내세요</translation>
    </message>
    <message>
        <source>&apos;{image}&apos; is in the lists of &apos;{one}&apos; and &apos;{split}&apos;</source>
        <translation>&apos;{image}&apos;이(가) &apos;{one}&apos;와(과) &apos;{split}&apos; 목록에 모두 있습니다</translation>
    </message>
    <message>
        <source>Name each image once</source>
        <translation>이미지마다 한 번만 적으세요</translation>
    </message>
    <message>
        <source>&apos;{first}&apos; in &apos;{one}&apos; and &apos;{second}&apos; in &apos;{other}&apos; have the same content</source>
        <translation>&apos;{one}&apos;의 &apos;{first}&apos;와(과) &apos;{other}&apos;의 &apos;{second}&apos;은(는) 내용이 같습니다</translation>
    </message>
    <message>
        <source>A copy of a training image in another split makes its figures too good</source>
        <translation>학습 이미지의 사본이 다른 분할에 있으면 그 수치가 지나치게 좋게 나옵니다</translation>
    </message>
    <message>
        <source>Name them in one list, or leave one of them out</source>
        <translation>한 목록에 적거나 하나를 빼세요</translation>
    </message>
    <message>
        <source>&apos;{text}&apos; is not a list of a split</source>
        <translation>&apos;{text}&apos;은(는) 분할 목록이 아닙니다</translation>
    </message>
    <message>
        <source>&apos;{name}&apos; cannot be named in a labelmap.txt</source>
        <translation>&apos;{name}&apos;은(는) labelmap.txt에 쓸 수 없는 이름입니다</translation>
    </message>
    <message>
        <source>Rename the class, or choose another format</source>
        <translation>클래스 이름을 바꾸거나 다른 형식을 고르세요</translation>
    </message>
    <message>
        <source>&apos;{class_name}&apos; cannot be named in a labelmap.txt</source>
        <translation>&apos;{class_name}&apos;은(는) labelmap.txt에 쓸 수 없는 이름입니다</translation>
    </message>
    <message>
        <source>Colons part its columns, &apos;#&apos; begins a remark</source>
        <translation>콜론은 열을 나누고 &apos;#&apos;은 주석을 시작합니다</translation>
    </message>
    <message>
        <source>&apos;{catalog}&apos; has more than {most} classes</source>
        <translation>&apos;{catalog}&apos;의 클래스가 {most}개를 넘습니다</translation>
    </message>
    <message>
        <source>Choose ids of 16 bit instead</source>
        <translation>대신 16비트 ID를 고르세요</translation>
    </message>
    <message>
        <source>{name} cannot be named in an objectInfo.txt</source>
        <translation>{name}은(는) objectInfo.txt에 쓸 수 없는 이름입니다</translation>
    </message>
    <message>
        <source>Tabs part its columns, and each class has one line</source>
        <translation>탭은 열을 나누고 클래스마다 한 줄입니다</translation>
    </message>
    <message>
        <source>the polygons in the file differ from the mask</source>
        <extracomment>Added to a pixel&apos;s column and row before they are divided by the sides: readers that cut off and readers that round to whole numbers both find the pixel again.</extracomment>
        <translation>파일의 다각형이 마스크와 다릅니다</translation>
    </message>
    <message>
        <source>the mask fits the image both as it is stored and as it is displayed</source>
        <extracomment>What the user calls the frames, on the command line and in TOML files. How far above a mask its folder&apos;s marker is looked for: a run keeps the sub-folders of its images.</extracomment>
        <translation>마스크가 저장된 방향과 표시되는 방향의 이미지에 모두 맞습니다</translation>
    </message>
    <message>
        <source>{file} has EXIF orientation {orientation}, and both frames are {width} x {height} px</source>
        <translation>{file}의 EXIF 방향은 {orientation}이며 두 프레임 모두 {width} x {height} px입니다</translation>
    </message>
    <message>
        <source>Say which frame the masks of this folder are in</source>
        <translation>이 폴더의 마스크가 어느 프레임인지 지정하세요</translation>
    </message>
    <message>
        <source>the arrays hold more than {most:,} different values</source>
        <extracomment>Arrays of an .npz file that hold the label map of the file&apos;s own image. How tables are opened: in this thread, because an error in a thread of pyarrow ends the process, and with small headers. Most different ids of a source: more are not classes.</extracomment>
        <translation>배열에 서로 다른 값이 {most:,}개보다 많습니다</translation>
    </message>
    <message>
        <source>Label maps hold ids of classes</source>
        <translation>라벨 맵에는 클래스 ID가 들어 있습니다</translation>
    </message>
    <message>
        <source>Choose the arrays of the labels</source>
        <translation>라벨 배열을 고르세요</translation>
    </message>
    <message>
        <source>this is not a NumPy array</source>
        <translation>NumPy 배열이 아닙니다</translation>
    </message>
    <message>
        <source>Save it with numpy.save</source>
        <translation>numpy.save로 저장하세요</translation>
    </message>
    <message>
        <source>the row holds no mask</source>
        <translation>행에 마스크가 없습니다</translation>
    </message>
    <message>
        <source>Leave the row out</source>
        <translation>행을 빼세요</translation>
    </message>
    <message>
        <source>the mask holds colours instead of ids</source>
        <translation>마스크에 ID 대신 색이 들어 있습니다</translation>
    </message>
    <message>
        <source>Save the ids as grey or indexed PNG</source>
        <translation>ID를 회색조나 인덱스 PNG로 저장하세요</translation>
    </message>
    <message>
        <source>the table has fewer rows than before</source>
        <translation>표의 행이 이전보다 적습니다</translation>
    </message>
    <message>
        <source>Import again</source>
        <translation>다시 가져오세요</translation>
    </message>
    <message>
        <source>the table has no column of images with one of masks</source>
        <translation>표에 마스크 열과 함께 있는 이미지 열이 없습니다</translation>
    </message>
    <message>
        <source>Columns that hold files: {files}</source>
        <translation>파일이 든 열: {files}</translation>
    </message>
    <message>
        <source>Name the columns &apos;image&apos; and &apos;mask&apos;</source>
        <translation>열 이름을 &apos;image&apos;와 &apos;mask&apos;로 하세요</translation>
    </message>
    <message>
        <source>parquet tables need the package pyarrow, which is not installed</source>
        <translation>parquet 표에는 pyarrow 패키지가 필요한데 설치되어 있지 않습니다</translation>
    </message>
    <message>
        <source>not a file of this format</source>
        <translation>이 형식의 파일이 아닙니다</translation>
    </message>
    <message>
        <source>a panoptic mask is a PNG of colours</source>
        <translation>파놉틱 마스크는 색이 있는 PNG입니다</translation>
    </message>
    <message>
        <source>Bring the masks of the data set</source>
        <translation>데이터 세트의 마스크를 준비하세요</translation>
    </message>
    <message>
        <source>which object a region belongs to</source>
        <extracomment>Short for the tables below; the window translates what it shows of them.</extracomment>
        <translation>영역이 어느 객체에 속하는지</translation>
    </message>
    <message>
        <source>what a region hides below another</source>
        <translation>영역 아래에 가려진 부분</translation>
    </message>
    <message>
        <source>flags and descriptions</source>
        <translation>플래그와 설명</translation>
    </message>
    <message>
        <source>Pillow&apos;s polygon, rectangle and ellipse; lines 10 px wide, points 5 px around; later shapes cover earlier ones</source>
        <translation>Pillow의 다각형, 사각형, 타원. 선은 너비 10 px, 점은 둘레 5 px. 뒤의 도형이 앞의 것을 덮음</translation>
    </message>
    <message>
        <source>X-AnyLabeling JSON</source>
        <translation>X-AnyLabeling JSON</translation>
    </message>
    <message>
        <source>flags, descriptions, attributes and scores</source>
        <translation>플래그, 설명, 속성, 점수</translation>
    </message>
    <message>
        <source>as labelme; turned rectangles as polygons</source>
        <translation>labelme와 같고, 기울어진 사각형은 다각형으로</translation>
    </message>
    <message>
        <source>ISAT JSON</source>
        <translation>ISAT JSON</translation>
    </message>
    <message>
        <source>layers and notes</source>
        <translation>레이어와 메모</translation>
    </message>
    <message>
        <source>pixels inside or on the outline, corners cut to whole numbers; higher layers cover lower ones</source>
        <translation>윤곽 안이나 위의 픽셀, 꼭짓점은 정수로 버림. 위의 레이어가 아래를 덮음</translation>
    </message>
    <message>
        <source>COCO instances</source>
        <translation>COCO 인스턴스</translation>
    </message>
    <message>
        <source>boxes and key points without an outline</source>
        <translation>윤곽이 없는 상자와 키포인트</translation>
    </message>
    <message>
        <source>pycocotools; later annotations cover earlier ones, crowds are below all others</source>
        <translation>pycocotools. 뒤의 주석이 앞의 것을 덮고, crowd는 맨 아래</translation>
    </message>
    <message>
        <source>every pixel has the class of its segment; 0 is void</source>
        <translation>픽셀마다 세그먼트의 클래스, 0은 void</translation>
    </message>
    <message>
        <source>YOLO segmentation</source>
        <translation>YOLO 세그먼테이션</translation>
    </message>
    <message>
        <source>boxes</source>
        <translation>상자</translation>
    </message>
    <message>
        <source>holes</source>
        <translation>구멍</translation>
    </message>
    <message>
        <source>OpenCV&apos;s polygon on whole numbers, cut off; small regions cover large ones</source>
        <translation>정수로 버린 OpenCV의 다각형. 작은 영역이 큰 영역을 덮음</translation>
    </message>
    <message>
        <source>CVAT for images 1.1</source>
        <translation>CVAT for images 1.1</translation>
    </message>
    <message>
        <source>attributes and tags</source>
        <translation>속성과 태그</translation>
    </message>
    <message>
        <source>polylines, points, skeletons and cuboids</source>
        <translation>꺾은선, 점, 골격, 직육면체</translation>
    </message>
    <message>
        <source>tracks</source>
        <translation>트랙</translation>
    </message>
    <message>
        <source>polygons and boxes by pycocotools, ellipses by OpenCV, masks as they are; by z_order, then as in the file</source>
        <translation>다각형과 상자는 pycocotools, 타원은 OpenCV, 마스크는 그대로. z_order 순, 다음은 파일 순서</translation>
    </message>
    <message>
        <source>CVAT segmentation mask 1.1</source>
        <translation>CVAT segmentation mask 1.1</translation>
    </message>
    <message>
        <source>every pixel has the class of its colour in labelmap.txt</source>
        <translation>픽셀마다 labelmap.txt에서 색에 해당하는 클래스</translation>
    </message>
    <message>
        <source>PASCAL VOC</source>
        <translation>PASCAL VOC</translation>
    </message>
    <message>
        <source>every pixel has the class of its index; 255 is void</source>
        <translation>픽셀마다 인덱스의 클래스, 255는 void</translation>
    </message>
    <message>
        <source>Cityscapes gtFine and gtCoarse</source>
        <translation>Cityscapes gtFine, gtCoarse</translation>
    </message>
    <message>
        <source>label ids, else Pillow&apos;s polygons in their order, else train ids; classes that are not evaluated become void where the project lacks them</source>
        <translation>라벨 ID, 없으면 순서대로 Pillow의 다각형, 없으면 학습 ID. 평가하지 않는 클래스는 프로젝트에 없으면 void가 됨</translation>
    </message>
    <message>
        <source>KITTI semantic</source>
        <translation>KITTI 시맨틱</translation>
    </message>
    <message>
        <source>label ids of Cityscapes</source>
        <translation>Cityscapes의 라벨 ID</translation>
    </message>
    <message>
        <source>ADE20K scene parsing</source>
        <translation>ADE20K 장면 파싱</translation>
    </message>
    <message>
        <source>ids 1 to 150; 0 is void</source>
        <translation>ID 1에서 150, 0은 void</translation>
    </message>
    <message>
        <source>ADE20K full</source>
        <translation>ADE20K 전체</translation>
    </message>
    <message>
        <source>parts of objects</source>
        <translation>객체의 부분</translation>
    </message>
    <message>
        <source>the class is red // 10 * 256 + green; 0 is void; names are those of the .json or _atr.txt file beside</source>
        <translation>클래스는 red // 10 * 256 + green, 0은 void, 이름은 옆의 .json이나 _atr.txt 파일의 것</translation>
    </message>
    <message>
        <source>Supervisely</source>
        <translation>Supervisely</translation>
    </message>
    <message>
        <source>tags</source>
        <translation>태그</translation>
    </message>
    <message>
        <source>points, cuboids and graphs</source>
        <translation>점, 직육면체, 그래프</translation>
    </message>
    <message>
        <source>OpenCV&apos;s polygon on rounded numbers without its holes, bitmaps as they are; later objects cover earlier ones</source>
        <translation>반올림한 OpenCV의 다각형(구멍 제외), 비트맵은 그대로. 뒤의 객체가 앞의 것을 덮음</translation>
    </message>
    <message>
        <source>Label Studio JSON</source>
        <translation>Label Studio JSON</translation>
    </message>
    <message>
        <source>how opaque a brush is</source>
        <translation>브러시의 불투명도</translation>
    </message>
    <message>
        <source>all but the last annotation of a task</source>
        <translation>작업의 마지막 주석을 뺀 나머지</translation>
    </message>
    <message>
        <source>brush masks where alpha is not 0; polygons and rectangles by pycocotools, ellipses by OpenCV; later results cover earlier ones</source>
        <translation>브러시 마스크는 알파가 0이 아닌 곳, 다각형과 사각형은 pycocotools, 타원은 OpenCV. 뒤의 결과가 앞의 것을 덮음</translation>
    </message>
    <message>
        <source>NumPy arrays</source>
        <translation>NumPy 배열</translation>
    </message>
    <message>
        <source>nothing</source>
        <translation>없음</translation>
    </message>
    <message>
        <source>every number is an id of the project&apos;s classes</source>
        <translation>모든 수는 프로젝트 클래스의 ID</translation>
    </message>
    <message>
        <source>parquet of images and masks</source>
        <translation>이미지와 마스크의 parquet</translation>
    </message>
    <message>
        <source>other columns</source>
        <translation>다른 열</translation>
    </message>
    <message>
        <source>one binary mask per class</source>
        <translation>클래스마다 이진 마스크 하나</translation>
    </message>
    <message>
        <source>every pixel other than 0 has the class of its folder; later folders cover earlier ones; with a folder &apos;background&apos;, pixels in no mask are void</source>
        <translation>0이 아닌 픽셀은 폴더의 클래스, 뒤의 폴더가 앞의 것을 덮음. &apos;background&apos; 폴더가 있으면 어느 마스크에도 없는 픽셀은 void</translation>
    </message>
    <message>
        <source>plain masks</source>
        <translation>일반 마스크</translation>
    </message>
    <message>
        <source>every pixel has the class of its id or colour; the user, the folder&apos;s marker or file names say of which catalog</source>
        <translation>픽셀마다 ID나 색의 클래스. 카탈로그는 사용자, 폴더의 표지, 파일 이름으로 정함</translation>
    </message>
    <message>
        <source>others through Datumaro</source>
        <translation>Datumaro를 통한 기타 형식</translation>
    </message>
    <message>
        <source>everything but masks and polygons</source>
        <translation>마스크와 다각형을 뺀 나머지</translation>
    </message>
    <message>
        <source>masks as they are, polygons by pycocotools; by z_order</source>
        <translation>마스크는 그대로, 다각형은 pycocotools, z_order 순</translation>
    </message>
    <message>
        <source>there is no format &apos;{key}&apos;</source>
        <translation>형식 &apos;{key}&apos;이(가) 없습니다</translation>
    </message>
    <message>
        <source>these labels may be of several formats</source>
        <translation>이 라벨은 여러 형식일 수 있습니다</translation>
    </message>
    <message>
        <source>They look like {listed}</source>
        <translation>{listed}처럼 보입니다</translation>
    </message>
    <message>
        <source>Choose one</source>
        <translation>하나를 고르세요</translation>
    </message>
    <message>
        <source>these labels are of no known format</source>
        <translation>알려진 형식의 라벨이 아닙니다</translation>
    </message>
    <message>
        <source>No file of it looks like one that can be read</source>
        <translation>읽을 수 있는 파일처럼 보이는 것이 없습니다</translation>
    </message>
    <message>
        <source>Choose the format</source>
        <translation>형식을 고르세요</translation>
    </message>
    <message>
        <source>imageData</source>
        <extracomment>What labelme draws lines and points with, px. Keys of a shape that X-AnyLabeling writes and labelme does not.</extracomment>
        <translation>imageData</translation>
    </message>
    <message>
        <source>mask</source>
        <translation>마스크</translation>
    </message>
    <message>
        <source>its {what} is not base64</source>
        <translation>{what}이(가) base64가 아닙니다</translation>
    </message>
    <message>
        <source>Write the file again</source>
        <translation>파일을 다시 쓰세요</translation>
    </message>
    <message>
        <source>the mask of &apos;{name}&apos; is not a binary mask of this image</source>
        <translation>&apos;{name}&apos;의 마스크가 이 이미지의 이진 마스크가 아닙니다</translation>
    </message>
    <message>
        <source>It holds colours, or has another size</source>
        <translation>색이 들어 있거나 크기가 다릅니다</translation>
    </message>
    <message>
        <source>Write the masks of all classes again</source>
        <translation>모든 클래스의 마스크를 다시 쓰세요</translation>
    </message>
    <message>
        <source>Datumaro reads folders</source>
        <translation>Datumaro는 폴더를 읽습니다</translation>
    </message>
    <message>
        <source>Unpack the archive and import the folder</source>
        <translation>압축을 풀고 폴더를 가져오세요</translation>
    </message>
    <message>
        <source>this format needs the package datumaro, which is not installed</source>
        <translation>이 형식에는 datumaro 패키지가 필요한데 설치되어 있지 않습니다</translation>
    </message>
    <message>
        <source>Its versions of OpenCV and Pillow are older than those of Atrous</source>
        <translation>그 패키지의 OpenCV와 Pillow 버전이 Atrous의 것보다 오래되었습니다</translation>
    </message>
    <message>
        <source>Install both into an environment of their own: pip install &apos;atrous[formats]&apos;; or convert the labels with datumaro to COCO or VOC, and import these</source>
        <translation>둘을 별도의 환경에 설치하거나(pip install &apos;atrous[formats]&apos;), datumaro로 라벨을 COCO나 VOC로 변환해 가져오세요</translation>
    </message>
    <message>
        <source>The source&apos;s list of classes has no {numbers}. Its classes are {names}</source>
        <translation>원본의 클래스 목록에 {numbers}이(가) 없습니다. 클래스: {names}</translation>
    </message>
    <message>
        <source>&apos;{catalog}&apos; has no class for: {names}</source>
        <translation>&apos;{catalog}&apos;에 해당하는 클래스가 없는 것: {names}</translation>
    </message>
    <message>
        <source>Choose what each becomes</source>
        <translation>각각 무엇이 될지 고르세요</translation>
    </message>
    <message>
        <source>the source has no class &apos;{class_name}&apos;</source>
        <translation>원본에 &apos;{class_name}&apos; 클래스가 없습니다</translation>
    </message>
    <message>
        <source>Its classes are {known}</source>
        <translation>클래스: {known}</translation>
    </message>
    <message>
        <source>Correct the name before &apos;=&apos;</source>
        <translation>&apos;=&apos; 앞의 이름을 고치세요</translation>
    </message>
    <message>
        <source>&apos;{catalog}&apos; has no class &apos;{class_name}&apos;</source>
        <translation>&apos;{catalog}&apos;에 &apos;{class_name}&apos; 클래스가 없습니다</translation>
    </message>
    <message>
        <source>Its classes are {classes}</source>
        <translation>클래스: {classes}</translation>
    </message>
    <message>
        <source>Correct the name after &apos;=&apos;, or write &apos;{void}&apos;</source>
        <translation>&apos;=&apos; 뒤의 이름을 고치거나 &apos;{void}&apos;라고 쓰세요</translation>
    </message>
    <message>
        <source>more than {most:,} files</source>
        <extracomment>Endings of files that hold outlines or whole data sets. Folders of masks are found as ground truth is. Files that make the folder above the images the root of a data set. Pictures that are not masks. Bounds of an automatic look; the user can name whatever is larger.</extracomment>
        <translation>파일이 {most:,}개를 넘습니다</translation>
    </message>
    <message>
        <source>a file of {megabytes:,} MB</source>
        <translation>{megabytes:,} MB 파일</translation>
    </message>
    <message>
        <source>the archive has no labelmap.txt</source>
        <translation>압축 파일에 labelmap.txt가 없습니다</translation>
    </message>
    <message>
        <source>It names the colours of the classes</source>
        <translation>클래스의 색이 적혀 있는 파일입니다</translation>
    </message>
    <message>
        <source>this is not a mask of the full ADE20K</source>
        <extracomment>Kinds of Cityscapes&apos; label files, the one that is read first.</extracomment>
        <translation>전체 ADE20K의 마스크가 아닙니다</translation>
    </message>
    <message>
        <source>It has no colours</source>
        <translation>색이 없습니다</translation>
    </message>
    <message>
        <source>plain masks do not name their classes</source>
        <translation>일반 마스크에는 클래스 이름이 없습니다</translation>
    </message>
    <message>
        <source>Their values are ids of a catalog</source>
        <translation>값은 카탈로그의 ID입니다</translation>
    </message>
    <message>
        <source>Name the catalog</source>
        <translation>카탈로그를 지정하세요</translation>
    </message>
    <message>
        <source>the source names no classes</source>
        <translation>원본에 클래스 이름이 없습니다</translation>
    </message>
    <message>
        <source>Choose the classes</source>
        <translation>클래스를 고르세요</translation>
    </message>
    <message>
        <source>this is not a name of an image</source>
        <translation>이미지 이름이 아닙니다</translation>
    </message>
    <message>
        <source>Extract it with the program that wrote it</source>
        <translation>파일을 쓴 프로그램으로 추출하세요</translation>
    </message>
    <message>
        <source>an image of this name is there already</source>
        <translation>같은 이름의 이미지가 이미 있습니다</translation>
    </message>
    <message>
        <source>the source does not hold this image</source>
        <translation>원본에 이 이미지가 없습니다</translation>
    </message>
    <message>
        <source>Bring the image</source>
        <translation>이미지를 준비하세요</translation>
    </message>
    <message>
        <source>the classes are not mapped yet</source>
        <translation>클래스가 아직 연결되지 않았습니다</translation>
    </message>
    <message>
        <source>Choose a catalog first</source>
        <translation>먼저 카탈로그를 고르세요</translation>
    </message>
    <message>
        <source>the labels are for {width} x {height} px, but the image has {image_width} x {image_height}</source>
        <translation>라벨은 {width} x {height} px용인데 이미지는 {image_width} x {image_height}입니다</translation>
    </message>
    <message>
        <source>Find the labels that were made for this image</source>
        <translation>이 이미지로 만든 라벨을 찾으세요</translation>
    </message>
    <message>
        <source>who set each pixel was not read: {what}</source>
        <translation>픽셀 출처를 읽지 못했습니다: {what}</translation>
    </message>
    <message numerus="yes">
        <source>has a damaged record of who set each pixel</source>
        <comment>have a damaged record of who set each pixel</comment>
        <translation>
            <numerusform>픽셀 출처 기록이 손상되었습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>the labels fit the image both as it is stored and as it is displayed</source>
        <translation>라벨이 저장된 방향과 표시되는 방향의 이미지에 모두 맞습니다</translation>
    </message>
    <message>
        <source>{file} has EXIF orientation {orientation}, and {format} does not say which frame it is in</source>
        <translation>{file}의 EXIF 방향은 {orientation}인데, {format}에는 어느 프레임인지 적혀 있지 않습니다</translation>
    </message>
    <message>
        <source>Say which frame the labels are in</source>
        <translation>라벨이 어느 프레임인지 지정하세요</translation>
    </message>
    <message>
        <source>none of the labels of this image can be read</source>
        <translation>이 이미지의 라벨을 하나도 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>It has {parts}</source>
        <translation>있는 것: {parts}</translation>
    </message>
    <message>
        <source>Export the labels as outlines or masks, or leave the image out</source>
        <translation>라벨을 윤곽이나 마스크로 내보내거나 이미지를 빼세요</translation>
    </message>
    <message>
        <source>not {what}</source>
        <translation>{what}이(가) 아닙니다</translation>
    </message>
    <message>
        <source>It is not a JSON object</source>
        <translation>JSON 객체가 아닙니다</translation>
    </message>
    <message>
        <source>Choose the right file</source>
        <translation>맞는 파일을 고르세요</translation>
    </message>
    <message>
        <source>Download it again, or unpack it and import the folder</source>
        <extracomment>How many files are looked at to recognise a format. Most files of a source, and most files that a zip file may list. Largest file for one image (a labelme file may hold the photograph), and for a whole data set, bytes. Largest mask or table in a zip file, bytes. Files that describe a data set and hold no labels, in lower case. YAML files are recognised by what they hold.</extracomment>
        <translation>다시 내려받거나, 압축을 풀고 폴더를 가져오세요</translation>
    </message>
    <message>
        <source>the source has no file {name}</source>
        <translation>원본에 {name} 파일이 없습니다</translation>
    </message>
    <message>
        <source>Import the complete folder or archive</source>
        <translation>전체 폴더나 압축 파일을 가져오세요</translation>
    </message>
    <message>
        <source>the zip file lists {count:,} files</source>
        <translation>zip 파일에 파일이 {count:,}개 나열되어 있습니다</translation>
    </message>
    <message>
        <source>At most {most:,} are read</source>
        <translation>최대 {most:,}개까지 읽습니다</translation>
    </message>
    <message>
        <source>a file of the archive is too large to be read</source>
        <translation>압축 파일 안의 파일이 너무 커서 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>It has {bytes:,} bytes; at most {most:,} are read</source>
        <translation>{bytes:,}바이트이며, 최대 {most:,}바이트까지 읽습니다</translation>
    </message>
    <message>
        <source>there is no such file or folder</source>
        <translation>그런 파일이나 폴더가 없습니다</translation>
    </message>
    <message>
        <source>Name a folder of labels, a zip file or a label file</source>
        <translation>라벨 폴더, zip 파일, 라벨 파일 중 하나를 지정하세요</translation>
    </message>
    <message>
        <source>the folder holds more than {most:,} files</source>
        <translation>폴더에 파일이 {most:,}개보다 많습니다</translation>
    </message>
    <message>
        <source>Name the folder of the labels</source>
        <translation>라벨 폴더를 지정하세요</translation>
    </message>
    <message>
        <source>&apos;{catalog}&apos; has ids above 254, which an indexed PNG cannot hold</source>
        <translation>&apos;{catalog}&apos;에 254보다 큰 ID가 있어 인덱스 PNG에 들어가지 않습니다</translation>
    </message>
    <message>
        <source>Choose raw ids (16-bit PNG) instead</source>
        <translation>대신 원시 ID(16비트 PNG)를 고르세요</translation>
    </message>
    <message>
        <source>this is a file of ADE20K&apos;s full release, which is not read</source>
        <extracomment>Classes and parts of ADE20K&apos;s full release.</extracomment>
        <translation>ADE20K 전체 배포판의 파일이며, 읽지 않습니다</translation>
    </message>
    <message>
        <source>it codes some 3,000 classes and instances in its colours</source>
        <translation>색으로 약 3,000개의 클래스와 인스턴스를 나타냅니다</translation>
    </message>
    <message>
        <source>Use the masks of ADE20K&apos;s release for scene parsing, in its folder annotations</source>
        <translation>ADE20K의 장면 분할용 배포판에 있는 annotations 폴더의 마스크를 사용하세요</translation>
    </message>
    <message>
        <source>this file holds instances, not classes</source>
        <translation>이 파일에는 클래스가 아니라 인스턴스가 들어 있습니다</translation>
    </message>
    <message>
        <source>Choose the *_labelIds.png or *_labelTrainIds.png beside it</source>
        <translation>옆의 *_labelIds.png나 *_labelTrainIds.png를 고르세요</translation>
    </message>
    <message>
        <source>the mask was written by Atrous when its classes had other colours, and is read by its ids</source>
        <translation>Atrous가 클래스의 색이 다를 때 저장한 마스크이며 ID로 읽습니다</translation>
    </message>
    <message numerus="yes">
        <source>was written with other colours and read by its ids</source>
        <comment>were written with other colours and read by their ids</comment>
        <translation>
            <numerusform>다른 색으로 저장되어 ID로 읽었습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>the mask holds ids that &apos;{catalog}&apos; does not declare: {ids}</source>
        <translation>마스크에 &apos;{catalog}&apos;이(가) 선언하지 않은 ID가 있습니다: {ids}</translation>
    </message>
    <message>
        <source>Choose the catalog that this mask was made for</source>
        <translation>이 마스크에 맞는 카탈로그를 고르세요</translation>
    </message>
    <message>
        <source>Its void value is {void}; the ids look shifted by one: {found} instead of {ids}</source>
        <translation>void 값은 {void}입니다. ID가 하나씩 밀린 듯합니다: {ids} 대신 {found}</translation>
    </message>
    <message>
        <source>Its void value is {void}</source>
        <translation>void 값은 {void}입니다</translation>
    </message>
    <message>
        <source>the palette contradicts the ids and the mask is read by its colours: entry {entry} has the colour of {names}</source>
        <translation>팔레트가 ID와 맞지 않아 마스크를 색으로 읽습니다: 항목 {entry}의 색은 {names}의 색입니다</translation>
    </message>
    <message numerus="yes">
        <source>was read by colour, because the palette contradicts the ids</source>
        <comment>were read by colour, because the palette contradicts the ids</comment>
        <translation>
            <numerusform>팔레트가 ID와 맞지 않아 색으로 읽었습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>the mask is read by its ids, although entry {entry} has the colour of {owners}</source>
        <translation>항목 {entry}의 색이 {owners}의 색이지만 마스크를 ID로 읽습니다</translation>
    </message>
    <message numerus="yes">
        <source>has colours of other classes in its palette and was read by its ids</source>
        <comment>have colours of other classes in their palettes and were read by their ids</comment>
        <translation>
            <numerusform>팔레트에 다른 클래스의 색이 있어 ID로 읽었습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>Entry {entry} has the colour of {owners}</source>
        <translation>항목 {entry}의 색은 {owners}의 색입니다</translation>
    </message>
    <message>
        <source>{why}, and {color} stands for {owners}</source>
        <translation>{why}. 그리고 {color}은(는) {owners}을(를) 나타냅니다</translation>
    </message>
    <message>
        <source>{why}, and the entries {entries} have one colour</source>
        <translation>{why}. 그리고 항목 {entries}의 색이 같습니다</translation>
    </message>
    <message>
        <source>the palette of the mask contradicts its ids, and its colours do not tell the classes apart</source>
        <translation>마스크의 팔레트가 ID와 어긋나고, 색으로도 클래스를 구별할 수 없습니다</translation>
    </message>
    <message>
        <source>Save the ids as a grey PNG again from their source, or give the classes different colours</source>
        <translation>원본에서 ID를 회색조 PNG로 다시 저장하거나 클래스에 다른 색을 주세요</translation>
    </message>
    <message>
        <source>the mask holds colours that &apos;{catalog}&apos; does not tell apart: {colors}</source>
        <translation>마스크에 &apos;{catalog}&apos;이(가) 구별하지 못하는 색이 있습니다: {colors}</translation>
    </message>
    <message>
        <source>{names} and {more:,} more</source>
        <extracomment>``cv2.calcHist`` answers in float32, which counts exactly up to here; larger maps are counted in parts. Maps of wide catalogs are counted in parts of so many pixels: each takes 16 bytes of index arithmetic. Tables that :func:`channel_table` finds by identity. Tables by the identity of their catalog, which they keep alive.</extracomment>
        <translation>{names} 그 밖에 {more:,}개</translation>
    </message>
    <message>
        <source>These look like ids repeated in three channels</source>
        <translation>세 채널에 반복된 ID처럼 보입니다</translation>
    </message>
    <message>
        <source>Save the ids as a grey or indexed PNG</source>
        <translation>ID를 회색조나 인덱스 PNG로 저장하세요</translation>
    </message>
    <message>
        <source>Choose the catalog that this mask was coloured with</source>
        <translation>이 마스크를 칠한 카탈로그를 고르세요</translation>
    </message>
    <message>
        <source>stored</source>
        <translation>저장된 방향</translation>
    </message>
    <message>
        <source>displayed</source>
        <translation>표시 방향</translation>
    </message>
    <message>
        <source>the mask is read as its image is {named}, but its {width} x {height} px fit the image only as it is {other}</source>
        <translation>마스크를 이미지의 {named}(으)로 읽는데, {width} x {height} px는 {other}의 이미지에만 맞습니다</translation>
    </message>
    <message>
        <source>{file} has EXIF orientation {orientation}, and all masks are read in the frame that was named</source>
        <translation>{file}의 EXIF 방향은 {orientation}이며, 모든 마스크를 지정한 프레임으로 읽습니다</translation>
    </message>
    <message>
        <source>Bring the masks into one frame, or change the frame (&apos;Mask orientation…&apos;) if all masks are so</source>
        <translation>마스크를 한 프레임으로 맞추거나, 모두 그렇다면 프레임을 바꾸세요(&apos;마스크 방향…&apos;)</translation>
    </message>
    <message>
        <source>the mask has {width} x {height} px, but the image has {wanted}</source>
        <translation>마스크는 {width} x {height} px인데 이미지는 {wanted}입니다</translation>
    </message>
    <message>
        <source>Masks are never resized, because that would change labels</source>
        <translation>마스크 크기는 조정하지 않습니다. 라벨이 바뀌기 때문입니다</translation>
    </message>
    <message>
        <source>Find the mask that was made for this image</source>
        <translation>이 이미지로 만든 마스크를 찾으세요</translation>
    </message>
    <message>
        <source>Save the mask as PNG again from its source</source>
        <extracomment>Kinds of PNG with 16-bit samples that the decoder for photographs would cut: RGB, grey with alpha, RGB with alpha.</extracomment>
        <translation>원본에서 마스크를 PNG로 다시 저장하세요</translation>
    </message>
    <message>
        <source>the mask file cannot be read</source>
        <translation>마스크 파일을 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>the mask file is empty</source>
        <translation>마스크 파일이 비어 있습니다</translation>
    </message>
    <message>
        <source>It has 0 bytes</source>
        <translation>0바이트입니다</translation>
    </message>
    <message>
        <source>this is not a mask</source>
        <translation>마스크가 아닙니다</translation>
    </message>
    <message>
        <source>a mask cannot be a {format} file</source>
        <translation>마스크는 {format} 파일일 수 없습니다</translation>
    </message>
    <message>
        <source>This format does not keep values exactly</source>
        <translation>이 형식은 값을 정확히 보존하지 않습니다</translation>
    </message>
    <message>
        <source>a picture of the kind &apos;{mode}&apos; cannot hold a mask</source>
        <translation>&apos;{mode}&apos; 종류의 그림에는 마스크를 담을 수 없습니다</translation>
    </message>
    <message>
        <source>Save ids as indexed or grey PNG, or colours as RGB PNG</source>
        <translation>ID는 인덱스나 회색조 PNG로, 색은 RGB PNG로 저장하세요</translation>
    </message>
    <message>
        <source>{what}; {why}</source>
        <translation>{what}. {why}</translation>
    </message>
    <message>
        <source>the mask file is damaged</source>
        <translation>마스크 파일이 손상되었습니다</translation>
    </message>
    <message>
        <source>a mask cannot be compressed as JPEG</source>
        <translation>마스크는 JPEG로 압축할 수 없습니다</translation>
    </message>
    <message>
        <source>This compression does not keep values exactly</source>
        <translation>이 압축은 값을 정확히 보존하지 않습니다</translation>
    </message>
    <message>
        <source>the file shows 0 as white; its values are read as they are stored</source>
        <translation>파일이 0을 흰색으로 표시합니다. 값은 저장된 대로 읽습니다</translation>
    </message>
    <message numerus="yes">
        <source>is stored with white as 0</source>
        <comment>are stored with white as 0</comment>
        <translation>
            <numerusform>흰색을 0으로 저장했습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>a TIFF of {samples} bands cannot hold a mask</source>
        <translation>{samples}밴드 TIFF에는 마스크를 담을 수 없습니다</translation>
    </message>
    <message>
        <source>Save ids as one band, or colours as RGB of 8 bits</source>
        <translation>ID는 한 밴드로, 색은 8비트 RGB로 저장하세요</translation>
    </message>
    <message>
        <source>the mask cannot be read: {what}</source>
        <translation>마스크를 읽을 수 없습니다: {what}</translation>
    </message>
    <message>
        <source>colours of the type {dtype} cannot be told apart</source>
        <translation>자료형 {dtype}의 색은 구별할 수 없습니다</translation>
    </message>
    <message>
        <source>Save it as RGB of 8 bits</source>
        <translation>8비트 RGB로 저장하세요</translation>
    </message>
    <message>
        <source>the mask has transparent pixels</source>
        <translation>마스크에 투명한 픽셀이 있습니다</translation>
    </message>
    <message>
        <source>Their class cannot be told</source>
        <translation>그 클래스를 알 수 없습니다</translation>
    </message>
    <message>
        <source>Save it without transparency</source>
        <translation>투명도 없이 저장하세요</translation>
    </message>
    <message>
        <source>the mask holds numbers that are not ids: {value:g} and others in {pixels:,} px</source>
        <translation>마스크에 ID가 아닌 수가 있습니다: {value:g} 등 {pixels:,} px</translation>
    </message>
    <message>
        <source>Ids are whole numbers</source>
        <translation>ID는 정수입니다</translation>
    </message>
    <message>
        <source>Save the ids as whole numbers; a map of probabilities is not a mask</source>
        <translation>ID를 정수로 저장하세요. 확률 맵은 마스크가 아닙니다</translation>
    </message>
    <message>
        <source>numbers of the type {dtype} are not ids</source>
        <translation>자료형 {dtype}의 수는 ID가 아닙니다</translation>
    </message>
    <message>
        <source>the mask holds the value {value:.0f}</source>
        <translation>마스크에 값 {value:.0f}이(가) 있습니다</translation>
    </message>
    <message>
        <source>Ids are 0..65535</source>
        <translation>ID는 0..65535입니다</translation>
    </message>
    <message>
        <source>a mask is a two-dimensional array of whole numbers</source>
        <translation>마스크는 정수의 2차원 배열입니다</translation>
    </message>
    <message>
        <source>the catalog &apos;{catalog}&apos; has no class &apos;{class_name}&apos;</source>
        <extracomment>The evaluated classes of each category. The classes that the benchmark evaluates. Catalogs with masks that have the benchmark&apos;s scores. Average size in px of an instance of each class in the benchmark&apos;s data, and the class&apos;s label id in instance files. What counts as a hit of a category in its iIoU: also classes that have instances and no score of their own. Instance files hold ``label id * 1000 + number``; smaller values are plain label ids without instances.</extracomment>
        <translation>카탈로그 &apos;{catalog}&apos;에 &apos;{class_name}&apos; 클래스가 없습니다</translation>
    </message>
    <message>
        <source>iIoU is defined for cityscapes19 and cityscapes34</source>
        <translation>iIoU는 cityscapes19와 cityscapes34에 대해 정의됩니다</translation>
    </message>
    <message>
        <source>not a confusion matrix of the catalog &apos;{catalog}&apos;</source>
        <translation>카탈로그 &apos;{catalog}&apos;의 혼동 행렬이 아닙니다</translation>
    </message>
    <message>
        <source>figures of the catalogs &apos;{one}&apos; and &apos;{other}&apos; cannot be pooled</source>
        <translation>카탈로그 &apos;{one}&apos;와(과) &apos;{other}&apos;의 수치는 통합할 수 없습니다</translation>
    </message>
    <message>
        <source>They have different classes</source>
        <translation>클래스가 다릅니다</translation>
    </message>
    <message>
        <source>Map one catalog to the other first</source>
        <translation>먼저 한 카탈로그를 다른 카탈로그에 연결하세요</translation>
    </message>
    <message>
        <source>the {name} holds ids that the catalog &apos;{catalog}&apos; does not declare</source>
        <translation>{name}에 카탈로그 &apos;{catalog}&apos;이(가) 선언하지 않은 ID가 있습니다</translation>
    </message>
    <message>
        <source>Undeclared: {ids}</source>
        <translation>선언되지 않은 ID: {ids}</translation>
    </message>
    <message>
        <source>Choose the catalog that this map was made with</source>
        <translation>이 맵을 만든 카탈로그를 고르세요</translation>
    </message>
    <message>
        <source>the counts of an image are malformed</source>
        <extracomment>What is counted of each class: pixels that are the class and called so, that are it, that are called it.</extracomment>
        <translation>이미지의 집계 형식이 잘못되었습니다</translation>
    </message>
    <message>
        <source>stored figures belong to other classes</source>
        <translation>저장된 수치의 클래스가 다릅니다</translation>
    </message>
    <message>
        <source>The catalog is now &apos;{catalog}&apos;</source>
        <translation>지금 카탈로그는 &apos;{catalog}&apos;입니다</translation>
    </message>
    <message>
        <source>stored figures of an image are damaged</source>
        <translation>이미지의 저장된 수치가 손상되었습니다</translation>
    </message>
    <message>
        <source>the model card beside the weights is damaged</source>
        <translation>가중치 옆의 모델 카드가 손상되었습니다</translation>
    </message>
    <message>
        <source>It cannot be used: {what}. {why}</source>
        <translation>사용할 수 없습니다: {what}. {why}</translation>
    </message>
    <message>
        <source>Correct it, or delete it to fall back on the documented defaults</source>
        <translation>고치거나, 삭제해 문서에 적힌 기본값을 쓰세요</translation>
    </message>
    <message>
        <source>the model card has a threshold, the network {channels} channels</source>
        <extracomment>Classes of a network with one unnamed channel. Probability from which a one-channel network&apos;s pixel is the object, unless its card or the user says otherwise: logit 0.</extracomment>
        <translation>모델 카드에 임계값이 있는데 네트워크는 {channels}채널입니다</translation>
    </message>
    <message>
        <source>only a network of one channel compares its class with a threshold</source>
        <translation>1채널 네트워크만 클래스를 임계값과 비교합니다</translation>
    </message>
    <message>
        <source>Remove the threshold from the card</source>
        <translation>카드에서 임계값을 없애세요</translation>
    </message>
    <message>
        <source>the model card lists one class, &apos;{class_name}&apos; with the id {class_id}, separated from the background</source>
        <translation>모델 카드에 배경과 구분되는 클래스가 ID {class_id}인 &apos;{class_name}&apos; 하나만 있습니다</translation>
    </message>
    <message>
        <source>List two classes in the card: the background first, then the class</source>
        <translation>카드에 클래스 두 개를 나열하세요: 배경을 먼저, 다음에 클래스</translation>
    </message>
    <message>
        <source>this network takes {channels} channels</source>
        <extracomment>Weights of red, green and blue in the luminance (ITU-R BT.601).</extracomment>
        <translation>이 네트워크는 {channels}채널을 받습니다</translation>
    </message>
    <message>
        <source>Atrous gives a network the gray values, the colours, or the colours and a fourth channel of an image: 1, 3 or 4</source>
        <translation>Atrous는 네트워크에 이미지의 회색조, 색, 또는 색과 네 번째 채널을 줍니다: 1, 3, 4채널</translation>
    </message>
    <message>
        <source>its card describes {channels}</source>
        <translation>카드에는 {channels}채널이라고 되어 있습니다</translation>
    </message>
    <message>
        <source>Use a network of 1, 3 or 4 channels</source>
        <translation>1, 3, 4채널 네트워크를 쓰세요</translation>
    </message>
    <message>
        <source>Correct the preprocessing in its card</source>
        <translation>카드의 전처리를 고치세요</translation>
    </message>
    <message>
        <source>the model card lists {count} classes, the network has {classes}</source>
        <extracomment>Entry of a card&apos;s ``extra``: options that make other predictions from the same weights than the usual ones.</extracomment>
        <translation>모델 카드의 클래스는 {count}개인데 네트워크는 {classes}개입니다</translation>
    </message>
    <message>
        <source>Correct the catalog in the card</source>
        <translation>카드의 카탈로그를 고치세요</translation>
    </message>
    <message>
        <source>the model card inside the file is damaged</source>
        <translation>파일 안의 모델 카드가 손상되었습니다</translation>
    </message>
    <message>
        <source>Fetch or convert the file again</source>
        <translation>파일을 다시 받거나 변환하세요</translation>
    </message>
    <message>
        <source>the index names files outside its folder</source>
        <extracomment>Endings of files that :func:`deeplab_core.weights.load_model` opens, lower case: for dialogs, drops, lists and commands. Endings of graphs of other engines, which need a library of their own. Endings of models of other programs: they are opened only to say by name why they cannot be used. Weights inside a folder, the first that is there. The frozen graph of a release of TensorFlow&apos;s.</extracomment>
        <translation>색인이 폴더 밖의 파일을 가리킵니다</translation>
    </message>
    <message>
        <source>Do not use this file</source>
        <translation>이 파일을 쓰지 마세요</translation>
    </message>
    <message>
        <source>the part {name} is missing</source>
        <translation>{name} 부분이 없습니다</translation>
    </message>
    <message>
        <source>the index lists {count} parts</source>
        <translation>색인에는 {count}개 부분이 있습니다</translation>
    </message>
    <message>
        <source>Copy all parts into one folder</source>
        <translation>모든 부분을 한 폴더에 복사하세요</translation>
    </message>
    <message>
        <source>unknown backbone &apos;{name}&apos;</source>
        <translation>알 수 없는 백본 &apos;{name}&apos;</translation>
    </message>
    <message>
        <source>known are {names}, and {prefix}NAME for the networks of timm</source>
        <translation>아는 것은 {names}, 그리고 timm의 네트워크는 {prefix}NAME입니다</translation>
    </message>
    <message>
        <source>a DRN has output stride 8, not {output_stride}</source>
        <extracomment>Channels before expansion, stride and rate of layers 1 to 8 (figure 5 of the paper).</extracomment>
        <translation>DRN의 출력 스트라이드는 {output_stride}이(가) 아니라 8입니다</translation>
    </message>
    <message>
        <source>Choose 8</source>
        <translation>8을 고르세요</translation>
    </message>
    <message>
        <source>HRNetV2 has output stride 4, not {output_stride}</source>
        <extracomment>Channels of the finest branch. Modules of stages 2, 3 and 4.</extracomment>
        <translation>HRNetV2의 출력 스트라이드는 {output_stride}이(가) 아니라 4입니다</translation>
    </message>
    <message>
        <source>Choose 4</source>
        <translation>4를 고르세요</translation>
    </message>
    <message>
        <source>backbones of timm need the timm library</source>
        <extracomment>Attribute values that make up a layer&apos;s geometry; anything else (modules, functions, feature tables) is not compared.</extracomment>
        <translation>timm의 백본에는 timm 라이브러리가 필요합니다</translation>
    </message>
    <message>
        <source>Install it: pip install &quot;atrous[timm]&quot;</source>
        <translation>설치: pip install &quot;atrous[timm]&quot;</translation>
    </message>
    <message>
        <source>timm&apos;s &apos;{name}&apos; has features of strides {strides}</source>
        <extracomment>Patchifying stems and strided 2x2 convolutions need a pixel of stride 32 to exist.</extracomment>
        <translation>timm의 &apos;{name}&apos;에는 스트라이드 {strides}의 특징이 있습니다</translation>
    </message>
    <message>
        <source>an encoder needs strides 4 and 32</source>
        <translation>인코더에는 스트라이드 4와 32가 필요합니다</translation>
    </message>
    <message>
        <source>Choose a convolutional network such as timm:resnet50 or timm:convnext_tiny</source>
        <translation>timm:resnet50이나 timm:convnext_tiny 같은 합성곱 네트워크를 고르세요</translation>
    </message>
    <message>
        <source>timm&apos;s &apos;{name}&apos; cannot change its output stride</source>
        <translation>timm의 &apos;{name}&apos;은(는) 출력 스트라이드를 바꿀 수 없습니다</translation>
    </message>
    <message>
        <source>it was written for stride 32 only</source>
        <translation>스트라이드 32용으로만 만들어졌습니다</translation>
    </message>
    <message>
        <source>Choose one that can, such as timm:resnet50, timm:efficientnet_b0, timm:convnext_tiny or timm:xception65</source>
        <translation>바꿀 수 있는 것을 고르세요. 예: timm:resnet50, timm:efficientnet_b0, timm:convnext_tiny, timm:xception65</translation>
    </message>
    <message>
        <source>Choose another network, such as timm:resnet50</source>
        <translation>timm:resnet50 같은 다른 네트워크를 고르세요</translation>
    </message>
    <message>
        <source>&apos;{name}&apos; is on a hub</source>
        <translation>&apos;{name}&apos;은(는) 허브에 있습니다</translation>
    </message>
    <message>
        <source>networks are built here, never downloaded</source>
        <translation>네트워크는 여기서 만들며 내려받지 않습니다</translation>
    </message>
    <message>
        <source>Give a name of timm.list_models()</source>
        <translation>timm.list_models()의 이름을 지정하세요</translation>
    </message>
    <message>
        <source>timm has no network &apos;{name}&apos;</source>
        <translation>timm에 네트워크 &apos;{name}&apos;이(가) 없습니다</translation>
    </message>
    <message>
        <source>near are {near}</source>
        <translation>비슷한 것: {near}</translation>
    </message>
    <message>
        <source>timm {version} knows {count} others</source>
        <translation>timm {version}에는 다른 것이 {count}개 있습니다</translation>
    </message>
    <message>
        <source>Choose a name of timm.list_models()</source>
        <translation>timm.list_models()의 이름을 고르세요</translation>
    </message>
    <message>
        <source>output stride {value} is not possible for this network</source>
        <translation>이 네트워크에서는 출력 스트라이드 {value}을(를) 쓸 수 없습니다</translation>
    </message>
    <message>
        <source>its layers allow {choices}</source>
        <translation>층이 허용하는 값: {choices}</translation>
    </message>
    <message>
        <source>{owner} over &apos;{backbone}&apos; takes no backbone options</source>
        <translation>&apos;{backbone}&apos; 위의 {owner}에는 백본 옵션이 없습니다</translation>
    </message>
    <message>
        <source>unknown network &apos;{name}&apos;</source>
        <translation>알 수 없는 네트워크 &apos;{name}&apos;</translation>
    </message>
    <message>
        <source>known are {known}</source>
        <translation>아는 것: {known}</translation>
    </message>
    <message>
        <source>network &apos;{name}&apos; has no form over &apos;{backbone}&apos;</source>
        <translation>네트워크 &apos;{name}&apos;은(는) &apos;{backbone}&apos; 위에 만들 수 없습니다</translation>
    </message>
    <message>
        <source>it is built over {known}</source>
        <translation>만들 수 있는 백본: {known}</translation>
    </message>
    <message>
        <source>classes</source>
        <translation>클래스</translation>
    </message>
    <message>
        <source>Give at least one class</source>
        <translation>클래스를 하나 이상 지정하세요</translation>
    </message>
    <message>
        <source>input channels</source>
        <translation>입력 채널</translation>
    </message>
    <message>
        <source>Give 1, 3 or 4</source>
        <translation>1, 3, 4 중 하나를 지정하세요</translation>
    </message>
    <message>
        <source>this network cannot take another number of channels</source>
        <translation>이 네트워크의 채널 수는 바꿀 수 없습니다</translation>
    </message>
    <message>
        <source>several of its layers read the image</source>
        <translation>이미지를 읽는 층이 여러 개입니다</translation>
    </message>
    <message>
        <source>network &apos;{name}&apos; has no multi_scale {value}</source>
        <translation>네트워크 &apos;{name}&apos;의 multi_scale은 {value}일 수 없습니다</translation>
    </message>
    <message>
        <source>Give a list of scales from 0.05 to 8</source>
        <translation>0.05에서 8까지의 배율 목록을 지정하세요</translation>
    </message>
    <message>
        <source>the module gives {found} channels for {wanted} classes</source>
        <translation>모듈이 클래스 {wanted}개에 채널 {found}개를 냅니다</translation>
    </message>
    <message>
        <source>Name as many classes as it has channels</source>
        <translation>채널 수만큼 클래스를 지정하세요</translation>
    </message>
    <message>
        <source>the module gives {found} for an image of {given}</source>
        <translation>모듈이 {given} 이미지에 {found}을(를) 냅니다</translation>
    </message>
    <message>
        <source>Logits have at most the image&apos;s size</source>
        <translation>로짓은 이미지보다 클 수 없습니다</translation>
    </message>
    <message>
        <source>Crop or resize them in the module</source>
        <translation>모듈 안에서 자르거나 크기를 조정하세요</translation>
    </message>
    <message>
        <source>{owner} has no option {options}</source>
        <extracomment>What papers and other code call a value, by option, in lower case without spaces, hyphens and underscores. Bounds of numbers by the option&apos;s name: least, most. Whole numbers are at least 1 otherwise, others finite.</extracomment>
        <translation>{owner}에 옵션 {options}이(가) 없습니다</translation>
    </message>
    <message>
        <source>its options are {options}</source>
        <translation>옵션: {options}</translation>
    </message>
    <message>
        <source>Leave the option out or correct its name</source>
        <translation>옵션을 빼거나 이름을 고치세요</translation>
    </message>
    <message>
        <source>{owner} has no {name} {value}</source>
        <translation>{owner}의 {name}은(는) {value}일 수 없습니다</translation>
    </message>
    <message>
        <source>{name} is {choices}</source>
        <translation>{name}은(는) {choices}입니다</translation>
    </message>
    <message>
        <source>Choose one of these values</source>
        <translation>이 값 중 하나를 고르세요</translation>
    </message>
    <message>
        <source>Correct the value</source>
        <translation>값을 고치세요</translation>
    </message>
    <message>
        <source>a network cannot have {number} {what}</source>
        <translation>네트워크의 {what}은(는) {number}일 수 없습니다</translation>
    </message>
    <message>
        <source>It is a whole number from 1 to {most}</source>
        <translation>1에서 {most}까지의 정수여야 합니다</translation>
    </message>
    <message>
        <source>output stride {stride} is not possible for {owner}</source>
        <translation>{owner}에서는 출력 스트라이드 {stride}을(를) 쓸 수 없습니다</translation>
    </message>
    <message>
        <source>its layers allow {allowed}</source>
        <translation>층이 허용하는 값: {allowed}</translation>
    </message>
    <message>
        <source>Choose one of {allowed}</source>
        <translation>{allowed} 중 하나를 고르세요</translation>
    </message>
    <message>
        <source>this network has no receptive field by layer arithmetic</source>
        <extracomment>Arguments of an operation by name. Operations that read positions which layer arithmetic cannot name: attention, resampling at computed places.</extracomment>
        <translation>이 네트워크의 수용 영역은 층 계산으로 구할 수 없습니다</translation>
    </message>
    <message>
        <source>&apos;{operation}&apos; joins distant positions</source>
        <translation>&apos;{operation}&apos;이(가) 멀리 떨어진 위치를 합칩니다</translation>
    </message>
    <message>
        <source>Choose a network of convolutions; in Python, effective_radius measures the field of any</source>
        <translation>합성곱 네트워크를 고르세요. Python에서는 effective_radius가 모든 네트워크의 유효 수용 영역을 측정합니다</translation>
    </message>
    <message>
        <source>TorchScript has compiled it, so that its layers cannot be read</source>
        <translation>TorchScript로 컴파일되어 레이어를 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>Use the module as it was before torch.jit.script or torch.jit.trace</source>
        <translation>torch.jit.script나 torch.jit.trace를 적용하기 전의 모듈을 쓰세요</translation>
    </message>
    <message>
        <source>this network gives no map of features</source>
        <translation>이 네트워크는 특징 맵을 내지 않습니다</translation>
    </message>
    <message>
        <source>a receptive field belongs to an output of the form (N, C, h, w)</source>
        <translation>수용 영역은 (N, C, h, w) 형태의 출력에 속합니다</translation>
    </message>
    <message>
        <source>Give the part of it that does</source>
        <translation>그런 출력을 내는 부분을 지정하세요</translation>
    </message>
    <message>
        <source>, at most {most}</source>
        <extracomment>What runs a network of ours; ``auto`` is the fastest by a trial on this machine. ``pydensecrf`` is the usual binding of the authors&apos; code (extra ``crf``); the others are ours. Number of input channels by their order. Forms of the rules of :class:`Preprocessing`: which kinds take one number, which take two, and the largest.</extracomment>
        <translation>, 최대 {most}</translation>
    </message>
    <message>
        <source>{rule} is not a rule for {name}</source>
        <translation>{rule}은(는) {name}의 규칙이 아닙니다</translation>
    </message>
    <message>
        <source>Use {plain}, {forms} with whole numbers{limit}</source>
        <translation>{plain}을(를) 쓰거나 {forms}에 정수를 쓰세요{limit}</translation>
    </message>
    <message>
        <source>the reference CRF is not installed</source>
        <extracomment>Lattices of the appearance kernel kept per image: now, and before the last change. Pixels of an image from which marginals are not kept between the steps. Bytes a pixel of a computation in strips: simplices, masses, and rows of four labels; and what images usually take in all. Bytes a pixel of the smoothness kernel with its simplices and masses.</extracomment>
        <translation>기준 CRF가 설치되어 있지 않습니다</translation>
    </message>
    <message>
        <source>Choose the native engine, or install the extra: {command}</source>
        <translation>내장 엔진을 고르거나 추가 패키지를 설치하세요: {command}</translation>
    </message>
    <message>
        <source>the CRF&apos;s standard deviations are too small for this image</source>
        <extracomment>As the published codes write it: keeps a reciprocal finite where a point has no mass. Packed coordinates stay below this, so that a key is never negative. Points whose features exist at a time. ``simplices(first, last)``: vertices and weights of a range of points.</extracomment>
        <translation>CRF의 표준 편차가 이 이미지에 너무 작습니다</translation>
    </message>
    <message>
        <source>its pixels lie too many standard deviations apart to be numbered</source>
        <translation>픽셀이 표준 편차에 비해 너무 멀리 떨어져 번호를 매길 수 없습니다</translation>
    </message>
    <message>
        <source>Use at least 1 px and 1 grey level</source>
        <translation>1 px와 회색 단계 1 이상을 쓰세요</translation>
    </message>
    <message>
        <source>CRF parameter {name} is {value}</source>
        <translation>CRF 매개변수 {name}이(가) {value}입니다</translation>
    </message>
    <message>
        <source>Give a number above 0</source>
        <translation>0보다 큰 수를 지정하세요</translation>
    </message>
    <message>
        <source>Give a finite number</source>
        <translation>유한한 수를 지정하세요</translation>
    </message>
    <message>
        <source>CRF parameter iterations is {iterations}</source>
        <translation>CRF 매개변수 iterations가 {iterations}입니다</translation>
    </message>
    <message>
        <source>Give 0 or more; 10 is usual</source>
        <translation>0 이상을 지정하세요. 보통 10입니다</translation>
    </message>
    <message>
        <source>CRF normalisation &apos;{normalisation}&apos; is unknown</source>
        <translation>CRF 정규화 &apos;{normalisation}&apos;을(를) 알 수 없습니다</translation>
    </message>
    <message>
        <source>Choose symmetric, after or none</source>
        <translation>symmetric, after, none 중에서 고르세요</translation>
    </message>
    <message>
        <source>unknown CRF parameters: {names}</source>
        <translation>알 수 없는 CRF 매개변수: {names}</translation>
    </message>
    <message>
        <source>DeepLab v1, multi-scale</source>
        <translation>DeepLab v1, 다중 배율</translation>
    </message>
    <message>
        <source>pydensecrf example</source>
        <translation>pydensecrf 예제</translation>
    </message>
    <message>
        <source>no CRF preset &apos;{name}&apos;</source>
        <extracomment>Presets by name, in the order of menus. Weights belong to a normalisation: the authors&apos; library divides by the kernel&apos;s mass after filtering (``after``), pydensecrf&apos;s default is symmetric. A preset has the one that its numbers were found with.</extracomment>
        <translation>CRF 프리셋 &apos;{name}&apos;이(가) 없습니다</translation>
    </message>
    <message>
        <source>Choose one of {presets}</source>
        <translation>{presets} 중 하나를 고르세요</translation>
    </message>
    <message>
        <source>a search needs at least two images with truth; there are {count}</source>
        <extracomment>First grid: w1 and sigma_beta of v1&apos;s and v2&apos;s ranges, and two sigma_alpha. Then, around the best: factors on each, and softer unary terms. Gain in mean IoU, cross-validated, from which the CRF is said to help: half a point.</extracomment>
        <translation>탐색에는 정답이 있는 이미지가 두 개 이상 필요한데 {count}개 있습니다</translation>
    </message>
    <message>
        <source>Add images</source>
        <translation>이미지를 추가하세요</translation>
    </message>
    <message>
        <source>no pixel of the images has truth</source>
        <translation>이미지의 어느 픽셀에도 정답이 없습니다</translation>
    </message>
    <message>
        <source>Choose other images, or check the catalog</source>
        <translation>다른 이미지를 고르거나 카탈로그를 확인하세요</translation>
    </message>
    <message>
        <source>the class probabilities hold numbers that are not finite</source>
        <extracomment>Minus the energy of a label that a pixel cannot take: a stroke says otherwise, or it only pads a row. Probability of a pixel that labels may hold together which take no part. Of 300 labels that all are a little probable, the marginals of the few that reach a threshold would else be far from right. By so much rounding may carry probabilities beyond 0 and 1. Pixels of a strip: small enough that the copies of a strip stay in the processor&apos;s cache.</extracomment>
        <translation>클래스 확률에 유한하지 않은 수가 있습니다</translation>
    </message>
    <message>
        <source>this network cannot learn new classes</source>
        <extracomment>Share of the parent&apos;s probability that a new class begins with.</extracomment>
        <translation>이 네트워크는 새 클래스를 학습할 수 없습니다</translation>
    </message>
    <message>
        <source>its one channel tells one class from the background (sigmoid)</source>
        <translation>채널 하나로 한 클래스와 배경을 구분합니다(시그모이드)</translation>
    </message>
    <message>
        <source>Match the new classes to old ones, or use a network with a score for each class</source>
        <translation>새 클래스를 기존 클래스에 연결하거나, 클래스마다 점수가 있는 네트워크를 쓰세요</translation>
    </message>
    <message>
        <source>its layer {name} mixes the classes</source>
        <translation>층 {name}이(가) 클래스를 섞습니다</translation>
    </message>
    <message>
        <source>Match the new classes to old ones, or use a network with one classifier</source>
        <translation>새 클래스를 기존 클래스에 연결하거나, 분류기가 하나인 네트워크를 쓰세요</translation>
    </message>
    <message>
        <source>there was no room to keep the network&apos;s output while learning</source>
        <extracomment>Confidence (0..255) from which a prediction of the old model is one that must stay: 0.7. Share of the room for features that corrected images may take where not everything fits: without images without corrected, the network would forget.</extracomment>
        <translation>학습하는 동안 네트워크의 출력을 둘 공간이 없었습니다</translation>
    </message>
    <message>
        <source>no corrected pixel is of a class that the model has or is to get</source>
        <translation>수정한 픽셀 중에 모델에 있거나 생길 클래스의 것이 없습니다</translation>
    </message>
    <message>
        <source>there is nothing to learn from</source>
        <translation>학습할 내용이 없습니다</translation>
    </message>
    <message>
        <source>Correct an image or two, then learn again</source>
        <translation>이미지를 한두 개 수정한 뒤 다시 학습하세요</translation>
    </message>
    <message>
        <source>its mask is {mask_width} x {mask_height}, the picture {width} x {height}</source>
        <translation>마스크는 {mask_width} x {mask_height}, 그림은 {width} x {height}입니다</translation>
    </message>
    <message>
        <source>Open the image and correct it again</source>
        <translation>이미지를 열어 다시 수정하세요</translation>
    </message>
    <message>
        <source>there is too little room in the temporary folder</source>
        <extracomment>Longest side that is learned from, in network pixels: beyond it, memory and time would grow without bound.</extracomment>
        <translation>임시 폴더의 공간이 부족합니다</translation>
    </message>
    <message>
        <source>the network&apos;s output for the images cannot be kept while it learns</source>
        <translation>학습하는 동안 이미지에 대한 네트워크의 출력을 보관할 수 없습니다</translation>
    </message>
    <message>
        <source>Free some space there, or set TMPDIR (TEMP on Windows) to a folder with more and start Atrous again</source>
        <translation>그곳의 공간을 확보하거나, TMPDIR(Windows에서는 TEMP)을 여유 있는 폴더로 설정하고 Atrous를 다시 시작하세요</translation>
    </message>
    <message>
        <source>the weights are damaged, or learning went too far</source>
        <translation>가중치가 손상되었거나 학습이 지나쳤습니다</translation>
    </message>
    <message>
        <source>Choose a gentler strength, or another model</source>
        <translation>더 약한 강도나 다른 모델을 고르세요</translation>
    </message>
    <message>
        <source>no pixel of the {count} images is labelled</source>
        <extracomment>Stands where an epoch&apos;s number stands, for crops that measure and do not teach.</extracomment>
        <translation>이미지 {count}개의 어느 픽셀에도 라벨이 없습니다</translation>
    </message>
    <message>
        <source>Their masks hold nothing but void</source>
        <translation>마스크에 void만 있습니다</translation>
    </message>
    <message>
        <source>Label some pixels, or name other masks or other classes</source>
        <translation>픽셀에 라벨을 만들거나, 다른 마스크나 다른 클래스를 지정하세요</translation>
    </message>
    <message>
        <source>no image can be trained on</source>
        <extracomment>Where the shuffling of blocks begins among the numbers of :func:`~deeplab_core.training.augment.generator`.</extracomment>
        <translation>학습할 수 있는 이미지가 없습니다</translation>
    </message>
    <message>
        <source>{count} were skipped</source>
        <translation>{count}개를 건너뛰었습니다</translation>
    </message>
    <message>
        <source>See the list above</source>
        <translation>위의 목록을 보세요</translation>
    </message>
    <message>
        <source>Set decoder_start to random, or start from a DeepLabv3 checkpoint</source>
        <translation>decoder_start를 random으로 설정하거나 DeepLabv3 체크포인트에서 시작하세요</translation>
    </message>
    <message>
        <source>a decoder that starts as identity needs DeepLabv3 with a pyramid and without a decoder</source>
        <translation>항등으로 시작하는 디코더에는 피라미드가 있고 디코더가 없는 DeepLabv3가 필요합니다</translation>
    </message>
    <message>
        <source>This checkpoint is {network}</source>
        <translation>이 체크포인트는 {network}입니다</translation>
    </message>
    <message>
        <source>a decoder that starts as identity needs a network with DeepLabv3+&apos;s decoder</source>
        <translation>항등으로 시작하는 디코더에는 DeepLabv3+의 디코더가 있는 네트워크가 필요합니다</translation>
    </message>
    <message>
        <source>the decoder is too narrow to pass the pyramid&apos;s features on</source>
        <translation>디코더가 좁아 피라미드의 특징을 그대로 넘길 수 없습니다</translation>
    </message>
    <message>
        <source>It has {channels} channels, the pyramid {width}</source>
        <translation>디코더는 {channels}채널, 피라미드는 {width}입니다</translation>
    </message>
    <message>
        <source>Set decoder_channels to {width} or more</source>
        <translation>decoder_channels를 {width} 이상으로 설정하세요</translation>
    </message>
    <message>
        <source>the pyramid of the recipe is not that of init</source>
        <translation>레시피의 피라미드가 init의 것과 다릅니다</translation>
    </message>
    <message>
        <source>A decoder that starts as identity needs the checkpoint&apos;s own encoder and pyramid</source>
        <translation>항등으로 시작하는 디코더에는 체크포인트 자체의 인코더와 피라미드가 필요합니다</translation>
    </message>
    <message>
        <source>Name only options of the decoder in the recipe</source>
        <translation>레시피에는 디코더의 옵션만 적으세요</translation>
    </message>
    <message>
        <source>The network has no encoder of its own</source>
        <extracomment>Kept features of another version of the program are not read.</extracomment>
        <translation>네트워크에 자체 인코더가 없습니다</translation>
    </message>
    <message>
        <source>The encoder begins with {chain}, which learns</source>
        <extracomment>Parts of the chain that are frozen; None for the whole encoder.</extracomment>
        <translation>인코더가 학습되는 {chain}(으)로 시작합니다</translation>
    </message>
    <message>
        <source>This encoder can only be frozen whole</source>
        <translation>이 인코더는 전체로만 고정할 수 있습니다</translation>
    </message>
    <message>
        <source>training recipe: cache_features finds no frozen layers at the beginning of the network</source>
        <translation>학습 레시피: cache_features를 쓸 고정된 층이 네트워크의 앞부분에 없습니다</translation>
    </message>
    <message>
        <source>Set freeze to the encoder or its first modules, e.g. [&quot;encoder.stem&quot;, &quot;encoder.blocks.?&quot;]</source>
        <translation>freeze를 인코더나 그 첫 모듈로 설정하세요. 예: [&quot;encoder.stem&quot;, &quot;encoder.blocks.?&quot;]</translation>
    </message>
    <message>
        <source>training recipe: freeze leaves nothing to train</source>
        <extracomment>The network where neither the recipe nor a checkpoint names one, and backbones that a processor can train. Prefix of the backbone&apos;s parameters in every network with an encoder.</extracomment>
        <translation>학습 레시피: freeze 때문에 학습할 것이 남지 않습니다</translation>
    </message>
    <message>
        <source>Name fewer modules, e.g. only those of the encoder</source>
        <translation>모듈을 줄이세요. 예: 인코더의 모듈만</translation>
    </message>
    <message>
        <source>training recipe: {key} names &apos;{pattern}&apos;, which is not a module of the network</source>
        <translation>학습 레시피: {key}의 &apos;{pattern}&apos;은(는) 네트워크의 모듈이 아닙니다</translation>
    </message>
    <message>
        <source>Modules are {modules}</source>
        <translation>모듈: {modules}</translation>
    </message>
    <message>
        <source>batch norm cannot be trained on rounds of {images} image</source>
        <translation>이미지 {images}개짜리 묶음으로는 배치 정규화를 학습할 수 없습니다</translation>
    </message>
    <message>
        <source>The network pools over each image, so a single one leaves its norm nothing to compare</source>
        <translation>네트워크가 이미지마다 풀링하므로 이미지가 하나면 정규화가 비교할 것이 없습니다</translation>
    </message>
    <message>
        <source>Set norm = &quot;frozen&quot; (with init), or choose a larger batch or a smaller accumulate</source>
        <translation>norm = &quot;frozen&quot;(init과 함께)으로 설정하거나, batch를 키우거나 accumulate를 줄이세요</translation>
    </message>
    <message>
        <source>training recipe: {what}</source>
        <extracomment>Strides that some network has; whether the recipe&apos;s has it is known once it is built.</extracomment>
        <translation>학습 레시피: {what}</translation>
    </message>
    <message>
        <source>{name} = {value} is not finite</source>
        <translation>{name} = {value}은(는) 유한하지 않습니다</translation>
    </message>
    <message>
        <source>Give a number</source>
        <translation>수를 지정하세요</translation>
    </message>
    <message>
        <source>batch and accumulate must be at least 1</source>
        <translation>batch와 accumulate는 1 이상이어야 합니다</translation>
    </message>
    <message>
        <source>Correct them</source>
        <translation>고치세요</translation>
    </message>
    <message>
        <source>accumulate must divide batch</source>
        <translation>accumulate는 batch를 나누어떨어지게 해야 합니다</translation>
    </message>
    <message>
        <source>Choose a divisor of the batch</source>
        <translation>batch의 약수를 고르세요</translation>
    </message>
    <message>
        <source>crop must be two sizes in px</source>
        <translation>crop은 px 크기 두 개여야 합니다</translation>
    </message>
    <message>
        <source>Give height and width</source>
        <translation>높이와 너비를 지정하세요</translation>
    </message>
    <message>
        <source>scales must be a least and a most, above 0</source>
        <translation>scales는 0보다 큰 최솟값과 최댓값이어야 합니다</translation>
    </message>
    <message>
        <source>Order them</source>
        <translation>순서대로 적으세요</translation>
    </message>
    <message>
        <source>epochs or steps must be above 0</source>
        <translation>epochs나 steps는 0보다 커야 합니다</translation>
    </message>
    <message>
        <source>steps must be at least 0</source>
        <translation>steps는 0 이상이어야 합니다</translation>
    </message>
    <message>
        <source>0 derives them from epochs</source>
        <translation>0이면 epochs에서 구합니다</translation>
    </message>
    <message>
        <source>rate must be above 0</source>
        <translation>rate는 0보다 커야 합니다</translation>
    </message>
    <message>
        <source>Try 0.05 from scratch, 0.007 for fine-tuning</source>
        <translation>처음부터는 0.05, 미세 조정에는 0.007을 써 보세요</translation>
    </message>
    <message>
        <source>hue is a turn of 0..0.5</source>
        <translation>hue는 0..0.5의 회전입니다</translation>
    </message>
    <message>
        <source>0.5 allows every hue</source>
        <translation>0.5는 모든 색상을 허용합니다</translation>
    </message>
    <message>
        <source>ema must be in 0..1</source>
        <translation>ema는 0..1이어야 합니다</translation>
    </message>
    <message>
        <source>Try 0.999</source>
        <translation>0.999를 써 보세요</translation>
    </message>
    <message>
        <source>band_px must be in 1..40</source>
        <translation>band_px는 1..40이어야 합니다</translation>
    </message>
    <message>
        <source>Choose a width there</source>
        <translation>그 안의 너비를 고르세요</translation>
    </message>
    <message>
        <source>ohem_keep is a share of the pixels</source>
        <translation>ohem_keep은 픽셀의 비율입니다</translation>
    </message>
    <message>
        <source>Choose one in 0..1</source>
        <translation>0..1에서 고르세요</translation>
    </message>
    <message>
        <source>seed {seed} is out of range</source>
        <translation>seed {seed}이(가) 범위를 벗어났습니다</translation>
    </message>
    <message>
        <source>Choose a whole number from 0 on</source>
        <translation>0 이상의 정수를 고르세요</translation>
    </message>
    <message>
        <source>mean and std have a value per colour</source>
        <translation>mean과 std에는 색마다 값이 하나씩 있습니다</translation>
    </message>
    <message>
        <source>Give three numbers</source>
        <translation>수 세 개를 지정하세요</translation>
    </message>
    <message>
        <source>std {std} divides the colours and must be above 0</source>
        <translation>std {std}은(는) 색을 나누므로 0보다 커야 합니다</translation>
    </message>
    <message>
        <source>Give the deviation on the 0..255 scale</source>
        <translation>0..255 눈금의 편차를 지정하세요</translation>
    </message>
    <message>
        <source>hard_repeat must be at least 1</source>
        <translation>hard_repeat는 1 이상이어야 합니다</translation>
    </message>
    <message>
        <source>1 repeats nothing</source>
        <translation>1이면 반복하지 않습니다</translation>
    </message>
    <message>
        <source>momentum must be in 0..1, 1 left out</source>
        <translation>momentum은 1을 뺀 0..1이어야 합니다</translation>
    </message>
    <message>
        <source>Try 0.9</source>
        <translation>0.9를 써 보세요</translation>
    </message>
    <message>
        <source>{name} {value} is below 0</source>
        <translation>{name} {value}이(가) 0보다 작습니다</translation>
    </message>
    <message>
        <source>Give 0 or more</source>
        <translation>0 이상을 지정하세요</translation>
    </message>
    <message>
        <source>{name} is a probability</source>
        <translation>{name}은(는) 확률입니다</translation>
    </message>
    <message>
        <source>validate_every must be at least 0</source>
        <translation>validate_every는 0 이상이어야 합니다</translation>
    </message>
    <message>
        <source>0 validates at the end only</source>
        <translation>0이면 끝에서만 검증합니다</translation>
    </message>
    <message>
        <source>fixed_scales must be above 0</source>
        <translation>fixed_scales는 0보다 커야 합니다</translation>
    </message>
    <message>
        <source>1.0 is the image&apos;s own size</source>
        <translation>1.0은 이미지 자체의 크기입니다</translation>
    </message>
    <message>
        <source>fixed_scales names a scale twice</source>
        <translation>fixed_scales에 같은 배율이 두 번 있습니다</translation>
    </message>
    <message>
        <source>Name each once</source>
        <translation>각각 한 번만 적으세요</translation>
    </message>
    <message>
        <source>cache_features needs a fixed set of views</source>
        <translation>cache_features에는 고정된 뷰 집합이 필요합니다</translation>
    </message>
    <message>
        <source>Set fixed_scales, e.g. [0.8, 1.0]</source>
        <translation>fixed_scales를 설정하세요. 예: [0.8, 1.0]</translation>
    </message>
    <message>
        <source>cache_features needs frozen layers</source>
        <translation>cache_features에는 고정된 층이 필요합니다</translation>
    </message>
    <message>
        <source>Set freeze, e.g. [&quot;encoder.stem&quot;, &quot;encoder.blocks.?&quot;]</source>
        <translation>freeze를 설정하세요. 예: [&quot;encoder.stem&quot;, &quot;encoder.blocks.?&quot;]</translation>
    </message>
    <message>
        <source>compile does not work on cached features</source>
        <translation>compile은 캐시된 특징에서 동작하지 않습니다</translation>
    </message>
    <message>
        <source>Set one of them to false</source>
        <translation>둘 중 하나를 false로 설정하세요</translation>
    </message>
    <message>
        <source>training recipe: {name} needs init</source>
        <translation>학습 레시피: {name}에는 init이 필요합니다</translation>
    </message>
    <message>
        <source>Name the checkpoint to start from there</source>
        <translation>시작할 체크포인트를 거기에 지정하세요</translation>
    </message>
    <message>
        <source>training recipe: sigmoid is for two classes, &apos;{catalog}&apos; has {count}</source>
        <translation>학습 레시피: 시그모이드는 2클래스용인데 &apos;{catalog}&apos;에는 {count}개가 있습니다</translation>
    </message>
    <message>
        <source>A network of one channel tells one class from the background</source>
        <translation>1채널 네트워크는 한 클래스와 배경을 구분합니다</translation>
    </message>
    <message>
        <source>Leave sigmoid out, or name a catalog of background and one class</source>
        <translation>sigmoid를 빼거나, 배경과 클래스 하나가 있는 카탈로그를 지정하세요</translation>
    </message>
    <message>
        <source>training recipe: hard_classes names &apos;{unknown}&apos;, which is not a class of &apos;{catalog}&apos;</source>
        <translation>학습 레시피: hard_classes의 &apos;{unknown}&apos;은(는) &apos;{catalog}&apos;의 클래스가 아닙니다</translation>
    </message>
    <message>
        <source>Choose among {names}</source>
        <translation>{names} 중에서 고르세요</translation>
    </message>
    <message>
        <source>training recipe: unknown key &apos;{unknown}&apos;</source>
        <translation>학습 레시피: 알 수 없는 키 &apos;{unknown}&apos;</translation>
    </message>
    <message>
        <source>Known keys: {known}</source>
        <translation>아는 키: {known}</translation>
    </message>
    <message>
        <source>training recipe: {key} = {value} is malformed</source>
        <translation>학습 레시피: {key} = {value}의 형식이 잘못되었습니다</translation>
    </message>
    <message>
        <source>It looks like {usual}</source>
        <translation>보통 {usual}처럼 씁니다</translation>
    </message>
    <message>
        <source>the mask is {mask_width}x{mask_height}, the image {width}x{height}</source>
        <translation>마스크는 {mask_width}x{mask_height}, 이미지는 {width}x{height}입니다</translation>
    </message>
    <message>
        <source>Put the mask of this image here</source>
        <translation>이 이미지의 마스크를 여기에 두세요</translation>
    </message>
    <message>
        <source>unknown key &apos;{unknown}&apos;</source>
        <translation>알 수 없는 키 &apos;{unknown}&apos;</translation>
    </message>
    <message>
        <source>no &apos;images&apos;</source>
        <translation>&apos;images&apos;가 없습니다</translation>
    </message>
    <message>
        <source>training data: {what}</source>
        <extracomment>Samples that are read in one go. What a sample is made of.</extracomment>
        <translation>학습 데이터: {what}</translation>
    </message>
    <message>
        <source>Keys are {keys}</source>
        <translation>키: {keys}</translation>
    </message>
    <message>
        <source>training data: mask_frame = {frame}</source>
        <translation>학습 데이터: mask_frame = {frame}</translation>
    </message>
    <message>
        <source>Choose {choices}</source>
        <translation>{choices} 중에서 고르세요</translation>
    </message>
    <message>
        <source>no image of the {count} chosen here has a mask</source>
        <translation>여기서 고른 이미지 {count}개에 마스크가 없습니다</translation>
    </message>
    <message>
        <source>Name the folder of the masks with &apos;truth&apos;</source>
        <translation>&apos;truth&apos;로 마스크 폴더를 지정하세요</translation>
    </message>
    <message>
        <source>there is no such folder of images</source>
        <translation>그런 이미지 폴더가 없습니다</translation>
    </message>
    <message>
        <source>Check the path</source>
        <translation>경로를 확인하세요</translation>
    </message>
    <message>
        <source>none of the {count} images of the list is in {folder}</source>
        <translation>목록의 이미지 {count}개가 하나도 {folder}에 없습니다</translation>
    </message>
    <message>
        <source>It begins with {missing}</source>
        <translation>{missing}(으)로 시작합니다</translation>
    </message>
    <message>
        <source>Check that list and folder belong together</source>
        <translation>그 목록과 폴더가 서로 맞는지 확인하세요</translation>
    </message>
    <message>
        <source>the state of the run cannot be read</source>
        <extracomment>Values of a recipe that may change between a run and its continuation. Values that name files: older runs kept them as they were typed, today&apos;s are absolute.</extracomment>
        <translation>실행의 상태를 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>Start again in another folder, or without --resume</source>
        <translation>다른 폴더에서, 또는 --resume 없이 다시 시작하세요</translation>
    </message>
    <message>
        <source>the run has another recipe: {key} was {before} and is {now}</source>
        <translation>실행의 레시피가 다릅니다: {key}이(가) {before}이었고 지금은 {now}입니다</translation>
    </message>
    <message>
        <source>Resume with the recipe.toml of that run, or choose another folder</source>
        <translation>그 실행의 recipe.toml로 이어서 하거나 다른 폴더를 고르세요</translation>
    </message>
    <message>
        <source>the run has {before} steps, which can be raised but not reduced to {steps}</source>
        <translation>실행의 단계는 {before}이며, 늘릴 수는 있지만 {steps}(으)로 줄일 수는 없습니다</translation>
    </message>
    <message>
        <source>Give at least as many epochs or steps as before; Ctrl+C ends a run early</source>
        <translation>epochs나 steps를 이전만큼 이상 지정하세요. Ctrl+C로 일찍 끝낼 수 있습니다</translation>
    </message>
    <message>
        <source>it had {before} training images, now there are {now}</source>
        <translation>학습 이미지가 {before}개였는데 지금은 {now}개입니다</translation>
    </message>
    <message>
        <source>its images had other names</source>
        <translation>이미지의 이름이 달랐습니다</translation>
    </message>
    <message>
        <source>the run was trained on other data: {difference}</source>
        <translation>실행이 다른 데이터로 학습되었습니다: {difference}</translation>
    </message>
    <message>
        <source>Bring the data of the run back (its recipe.toml names them), or choose another folder</source>
        <translation>그 실행의 데이터를 되돌려 놓거나(recipe.toml에 적혀 있습니다) 다른 폴더를 고르세요</translation>
    </message>
    <message>
        <source>the run has another network: {count} tensors differ, {tensor} among them</source>
        <translation>실행의 네트워크가 다릅니다: {tensor} 등 텐서 {count}개가 다릅니다</translation>
    </message>
    <message>
        <source>Resume with the recipe.toml of that run and the same checkpoint for init, or choose another folder</source>
        <translation>그 실행의 recipe.toml과 같은 init 체크포인트로 이어서 하거나 다른 폴더를 고르세요</translation>
    </message>
    <message>
        <source>docs/training.md lists the tables</source>
        <translation>표는 docs/training.md에 있습니다</translation>
    </message>
    <message>
        <source>unknown table &apos;{option}&apos;</source>
        <translation>알 수 없는 표 &apos;{option}&apos;</translation>
    </message>
    <message>
        <source>&apos;{key}&apos; is not a table [[data.{key}]]</source>
        <translation>&apos;{key}&apos;은(는) 표 [[data.{key}]]가 아닙니다</translation>
    </message>
    <message>
        <source>shards of &apos;{key}&apos; stand in one table, without folders</source>
        <translation>&apos;{key}&apos;의 샤드는 폴더 없이 하나의 표에 있습니다</translation>
    </message>
    <message>
        <source>&apos;{key}&apos; is not a list of texts</source>
        <translation>&apos;{key}&apos;은(는) 텍스트 목록이 아닙니다</translation>
    </message>
    <message>
        <source>&apos;unmatched_to_void&apos; is true or false</source>
        <translation>&apos;unmatched_to_void&apos;는 true 또는 false입니다</translation>
    </message>
    <message>
        <source>{images} images of a round cannot be shared by {processes} processes</source>
        <extracomment>Scale of fp16&apos;s loss below which an overflow is the network&apos;s, not the format&apos;s.</extracomment>
        <translation>묶음의 이미지 {images}개를 프로세스 {processes}개로 나눌 수 없습니다</translation>
    </message>
    <message>
        <source>Choose a batch that is a multiple of accumulate x processes</source>
        <translation>accumulate x 프로세스 수의 배수인 batch를 고르세요</translation>
    </message>
    <message>
        <source>the loss is {loss}</source>
        <translation>손실이 {loss}입니다</translation>
    </message>
    <message>
        <source>the gradient has the norm {norm}</source>
        <translation>기울기의 노름이 {norm}입니다</translation>
    </message>
    <message>
        <source>Look at these images and masks; else lower the rate, set clip, or use fp32</source>
        <translation>이 이미지와 마스크를 살펴보세요. 아니면 rate를 낮추거나, clip을 설정하거나, fp32를 쓰세요</translation>
    </message>
    <message>
        <source>The state on disk leads here again, so start again in another folder: lower the rate, set clip, or use fp32</source>
        <translation>디스크의 상태가 다시 여기로 이어지므로 다른 폴더에서 다시 시작하세요: rate를 낮추거나, clip을 설정하거나, fp32를 쓰세요</translation>
    </message>
    <message>
        <source>{what} at step {step}; training stopped before the network was spoiled</source>
        <translation>단계 {step}에서 {what}. 네트워크가 망가지기 전에 학습을 멈추었습니다</translation>
    </message>
    <message>
        <source>Batch of {images}</source>
        <translation>{images}의 배치</translation>
    </message>
    <message>
        <source>the network is spoiled after step {step}, so it is not written</source>
        <translation>단계 {step} 뒤에 네트워크가 망가져 쓰지 않았습니다</translation>
    </message>
    <message>
        <source>Not finite: {spoiled}</source>
        <translation>유한하지 않음: {spoiled}</translation>
    </message>
    <message>
        <source>Another process found values that are not finite</source>
        <translation>다른 프로세스에서 유한하지 않은 값이 나왔습니다</translation>
    </message>
    <message>
        <source>Lower the rate, set clip, or use fp32; an older state in the folder is as it was</source>
        <translation>rate를 낮추거나, clip을 설정하거나, fp32를 쓰세요. 폴더의 이전 상태는 그대로입니다</translation>
    </message>
    <message>
        <source>a graph for another engine cannot be trained</source>
        <extracomment>Gives training images as (n, 3, h, w) network inputs, prepared as the argument says. Options of a backbone that change no feature in eval mode. Options of a DeepLab head that say what channels mean; a new one takes them over unless the recipe names them, and from any checkpoint the rule for corners.</extracomment>
        <translation>다른 엔진용 그래프는 학습할 수 없습니다</translation>
    </message>
    <message>
        <source>{engine} runs it as it is</source>
        <translation>{engine}이(가) 그대로 실행합니다</translation>
    </message>
    <message>
        <source>Start from a file of weights: safetensors, .pth, .pt, or TensorFlow&apos;s</source>
        <translation>가중치 파일에서 시작하세요: safetensors, .pth, .pt, TensorFlow의 파일</translation>
    </message>
    <message>
        <source>nothing of these weights fits the network of the recipe</source>
        <translation>이 가중치 중에 레시피의 네트워크에 맞는 것이 없습니다</translation>
    </message>
    <message>
        <source>Leave init out</source>
        <translation>init을 빼세요</translation>
    </message>
    <message>
        <source>these weights cannot be averaged with those of init</source>
        <translation>이 가중치를 init의 가중치와 평균할 수 없습니다</translation>
    </message>
    <message>
        <source>their network or their classes differ</source>
        <translation>네트워크나 클래스가 다릅니다</translation>
    </message>
    <message>
        <source>Average only what was trained from one start</source>
        <translation>같은 시작점에서 학습한 것만 평균하세요</translation>
    </message>
    <message>
        <source>this network takes {channels} channels and cannot be trained here</source>
        <translation>이 네트워크는 {channels}채널을 받으므로 여기서 학습할 수 없습니다</translation>
    </message>
    <message>
        <source>training images are read as colours, three channels</source>
        <translation>학습 이미지는 색, 즉 3채널로 읽습니다</translation>
    </message>
    <message>
        <source>Train a network of 1 (gray) or 3 channels</source>
        <translation>1채널(회색조)이나 3채널 네트워크를 학습하세요</translation>
    </message>
    <message>
        <source>the encoder of the recipe is not that of init: {key} is {wanted}, not {given}</source>
        <translation>레시피의 인코더가 init의 것과 다릅니다: {key}은(는) {given}이(가) 아니라 {wanted}입니다</translation>
    </message>
    <message>
        <source>With another encoder its weights would mean something else</source>
        <translation>인코더가 다르면 가중치의 의미가 달라집니다</translation>
    </message>
    <message>
        <source>Leave backbone and backbone_options out of the recipe, or train without init</source>
        <translation>레시피에서 backbone과 backbone_options를 빼거나 init 없이 학습하세요</translation>
    </message>
    <message>
        <source>training recipe: {key} is {now}, but init was trained with {given}</source>
        <translation>학습 레시피: {key}은(는) {now}인데 init은 {given}(으)로 학습되었습니다</translation>
    </message>
    <message>
        <source>Its features mean the same only under the same preprocessing</source>
        <translation>전처리가 같아야 특징의 의미도 같습니다</translation>
    </message>
    <message>
        <source>Leave {key} out of the recipe</source>
        <translation>레시피에서 {key}을(를) 빼세요</translation>
    </message>
    <message>
        <source>the norm of &apos;{name}&apos; cannot be made again from the training images</source>
        <translation>&apos;{name}&apos;의 정규화를 학습 이미지에서 다시 만들 수 없습니다</translation>
    </message>
    <message>
        <source>no image reached it</source>
        <translation>거기에 이른 이미지가 없습니다</translation>
    </message>
    <message>
        <source>its values are not finite</source>
        <translation>값이 유한하지 않습니다</translation>
    </message>
    <message>
        <source>Set norm = &quot;frozen&quot; to train the weights as they are</source>
        <translation>가중치를 그대로 학습하려면 norm = &quot;frozen&quot;으로 설정하세요</translation>
    </message>
    <message>
        <source>looks like {family}, but a deciding tensor is missing: {tensor}</source>
        <extracomment>Share of a family&apos;s landmarks below which a file belongs to no family.</extracomment>
        <translation>{family}처럼 보이지만 결정적인 텐서가 없습니다: {tensor}</translation>
    </message>
    <message>
        <source>{score:.0%} of the family&apos;s landmarks are in the file</source>
        <translation>이 계열의 표지 중 {score:.0%}이(가) 파일에 있습니다</translation>
    </message>
    <message>
        <source>Check that the checkpoint is complete</source>
        <translation>체크포인트가 온전한지 확인하세요</translation>
    </message>
    <message>
        <source>the file holds no weights &apos;{wanted}&apos;</source>
        <translation>파일에 &apos;{wanted}&apos; 가중치가 없습니다</translation>
    </message>
    <message>
        <source>it holds {names}</source>
        <translation>있는 것: {names}</translation>
    </message>
    <message>
        <source>; nearest is {nearest}, which has {landmarks}</source>
        <translation>. 가장 가까운 것은 {nearest}이며 {landmarks}이(가) 있습니다</translation>
    </message>
    <message>
        <source>: {name}, as {source} calls it</source>
        <translation>: {source}에서 부르는 이름은 {name}</translation>
    </message>
    <message>
        <source>no known network has these weights{called}</source>
        <translation>이런 가중치를 쓰는 알려진 네트워크가 없습니다{called}</translation>
    </message>
    <message>
        <source>the file holds {count} tensors ({shown}){near}</source>
        <translation>파일에 텐서가 {count}개 있습니다({shown}){near}</translation>
    </message>
    <message>
        <source>See docs/models/compatibility.md for what can be loaded</source>
        <translation>불러올 수 있는 것은 docs/models/compatibility.md를 보세요</translation>
    </message>
    <message>
        <source>{what} is not supported</source>
        <extracomment>timm&apos;s names of the parts of a separable unit. Encoders that are built here, as the package calls them. Other encoders of the package by a key that only they have; names if no settings file gives the exact one. Other networks of the package by a key that only they have.</extracomment>
        <translation>{what}은(는) 지원하지 않습니다</translation>
    </message>
    <message>
        <source>supported: {supported}</source>
        <translation>지원: {supported}</translation>
    </message>
    <message>
        <source>Export the network to ONNX in the program that it comes from, and open that file</source>
        <translation>네트워크를 원래 프로그램에서 ONNX로 내보내 그 파일을 여세요</translation>
    </message>
    <message>
        <source>the network &apos;{network}&apos; of {library}</source>
        <translation>{library}의 네트워크 &apos;{network}&apos;</translation>
    </message>
    <message>
        <source>encoder &apos;{given}&apos;</source>
        <translation>인코더 &apos;{given}&apos;</translation>
    </message>
    <message>
        <source>the encoder ({kind})</source>
        <translation>인코더({kind})</translation>
    </message>
    <message>
        <source>decoder_attention_type &apos;{given}&apos;</source>
        <translation>decoder_attention_type &apos;{given}&apos;</translation>
    </message>
    <message>
        <source>encoder_depth {depth}</source>
        <translation>encoder_depth {depth}</translation>
    </message>
    <message>
        <source>the file cannot be read</source>
        <translation>파일을 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>Fetch it again</source>
        <translation>다시 받으세요</translation>
    </message>
    <message>
        <source>this is a pipe or device, not a file</source>
        <translation>파일이 아니라 파이프나 장치입니다</translation>
    </message>
    <message>
        <source>this is a link that leads nowhere</source>
        <translation>가리키는 대상이 없는 링크입니다</translation>
    </message>
    <message>
        <source>Remove it, or bring back what it leads to</source>
        <translation>제거하거나 가리키는 대상을 되돌려 놓으세요</translation>
    </message>
    <message>
        <source>no weights: {kind}</source>
        <translation>가중치가 아님: {kind}</translation>
    </message>
    <message>
        <source>load_model takes a path or a state dict</source>
        <translation>load_model은 경로나 state dict를 받습니다</translation>
    </message>
    <message>
        <source>Pass model.state_dict() of a network that is in memory</source>
        <translation>메모리에 있는 네트워크의 model.state_dict()를 주세요</translation>
    </message>
    <message>
        <source>without PyTorch a network runs as it was written</source>
        <translation>PyTorch가 없으면 네트워크는 저장된 그대로 실행됩니다</translation>
    </message>
    <message>
        <source>a graph has no option {option}</source>
        <translation>그래프에 옵션 {option}이(가) 없습니다</translation>
    </message>
    <message>
        <source>it holds its own operations</source>
        <translation>연산이 그래프 안에 정해져 있습니다</translation>
    </message>
    <message>
        <source>A state dict</source>
        <translation>state dict</translation>
    </message>
    <message>
        <source>Leave the option out</source>
        <translation>옵션을 빼세요</translation>
    </message>
    <message>
        <source>the file&apos;s card describes a network that cannot be built</source>
        <extracomment>Buffers of the modules around a network. Heads that only training runs, and what other tools leave among the weights: they never decide whether a file loads.</extracomment>
        <translation>파일의 카드가 만들 수 없는 네트워크를 설명합니다</translation>
    </message>
    <message>
        <source>It may come from a newer version of this program</source>
        <translation>이 프로그램의 더 새로운 버전에서 왔을 수 있습니다</translation>
    </message>
    <message>
        <source>the weights do not fit the network they look like: {title}</source>
        <translation>가중치가 추정한 네트워크에 맞지 않습니다: {title}</translation>
    </message>
    <message>
        <source>family {owner}; {reasons}</source>
        <translation>계열 {owner}. {reasons}</translation>
    </message>
    <message>
        <source>Choose a larger size of the image (resize), or install PyTorch</source>
        <extracomment>Where the graphs are shipped, and their ending. Key of a graph&apos;s facts in its metadata; names of its inputs and outputs.</extracomment>
        <translation>이미지 크기(resize)를 더 크게 고르거나 PyTorch를 설치하세요</translation>
    </message>
    <message>
        <source>This network</source>
        <translation>이 네트워크</translation>
    </message>
    <message>
        <source>this network comes without a graph</source>
        <translation>이 네트워크에는 그래프가 없습니다</translation>
    </message>
    <message>
        <source>Open it with PyTorch</source>
        <translation>PyTorch로 여세요</translation>
    </message>
    <message>
        <source>the weights do not fit the network of their card</source>
        <translation>가중치가 카드에 적힌 네트워크와 맞지 않습니다</translation>
    </message>
    <message>
        <source>{count} tensors are missing or of another size: {tensors}</source>
        <translation>텐서 {count}개가 없거나 크기가 다릅니다: {tensors}</translation>
    </message>
    <message>
        <source>{count} tensors are left over: {tensors}</source>
        <translation>텐서 {count}개가 남습니다: {tensors}</translation>
    </message>
    <message>
        <source>Check that the checkpoint is complete and of this architecture</source>
        <translation>체크포인트가 온전하고 이 구조의 것인지 확인하세요</translation>
    </message>
    <message>
        <source>{count} tensors hold values that are not numbers: {tensors}</source>
        <translation>텐서 {count}개에 수가 아닌 값이 있습니다: {tensors}</translation>
    </message>
    <message>
        <source>the training that wrote the file diverged, or the file is damaged</source>
        <translation>파일을 쓴 학습이 발산했거나 파일이 손상되었습니다</translation>
    </message>
    <message>
        <source>Use an earlier checkpoint</source>
        <translation>이전 체크포인트를 쓰세요</translation>
    </message>
    <message>
        <source>{count} running variances are negative: {tensors}</source>
        <translation>이동 분산 {count}개가 음수입니다: {tensors}</translation>
    </message>
    <message>
        <source>a variance cannot be; the file is damaged</source>
        <translation>분산은 음수일 수 없으므로 파일이 손상되었습니다</translation>
    </message>
    <message>
        <source>Use another copy of the checkpoint</source>
        <translation>체크포인트의 다른 사본을 쓰세요</translation>
    </message>
    <message>
        <source>no option of a model: {text}</source>
        <extracomment>Options of the network itself, and what each means; the others of :data:`SETTABLE` belong to the card. Everything that can be set from outside. Options of the input, by the names of :class:`Preprocessing`&apos;s fields.</extracomment>
        <translation>모델의 옵션이 아닙니다: {text}</translation>
    </message>
    <message>
        <source>options are {choices}</source>
        <translation>옵션: {choices}</translation>
    </message>
    <message>
        <source>Write NAME=VALUE</source>
        <translation>NAME=VALUE로 쓰세요</translation>
    </message>
    <message>
        <source>{name} cannot be {value}</source>
        <translation>{name}은(는) {value}일 수 없습니다</translation>
    </message>
    <message>
        <source>it has {count} classes, the network has {channels}</source>
        <translation>클래스가 {count}개인데 네트워크는 {channels}개입니다</translation>
    </message>
    <message>
        <source>the catalog {catalog} does not fit</source>
        <translation>카탈로그 {catalog}이(가) 맞지 않습니다</translation>
    </message>
    <message>
        <source>Choose another one</source>
        <translation>다른 것을 고르세요</translation>
    </message>
    <message>
        <source>this network has no option {name}</source>
        <translation>이 네트워크에 옵션 {name}이(가) 없습니다</translation>
    </message>
    <message>
        <source>it has {options}; its tensors decide the rest</source>
        <translation>있는 것은 {options}이며, 나머지는 텐서로 정해집니다</translation>
    </message>
    <message numerus="yes">
        <source>the network has {n} class</source>
        <comment>the network has {n} classes</comment>
        <translation>
            <numerusform>네트워크의 클래스는 {n}개입니다</numerusform>
        </translation>
    </message>
    <message>
        <source>Download or copy the file again</source>
        <extracomment>First pickle of the old format, ``torch.serialization.MAGIC_NUMBER``. A checkpoint that claims more than this is not a segmentation network: the largest known (DeconvNet) has 1 GB. How pickles of protocols 0 and 1 begin: with a dict, a list or a tuple (in text or binary form), or the class of an object.
----------
A protocol buffer cannot be larger. Bytes that a packed release may unpack to while its graph is looked for; the largest official one has 0.9 GB.</extracomment>
        <translation>파일을 다시 내려받거나 복사하세요</translation>
    </message>
    <message>
        <source>Export the network to ONNX in the program that it comes from, or save its weights with PyTorch</source>
        <translation>네트워크를 원래 프로그램에서 ONNX로 내보내거나 가중치를 PyTorch로 저장하세요</translation>
    </message>
    <message>
        <source>the weights file cannot be read</source>
        <translation>가중치 파일을 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>Check the path and its rights</source>
        <translation>경로와 권한을 확인하세요</translation>
    </message>
    <message>
        <source>the weights file is empty</source>
        <translation>가중치 파일이 비어 있습니다</translation>
    </message>
    <message>
        <source>the file has {gibibytes:.0f} GiB, far more than a segmentation network</source>
        <translation>파일이 {gibibytes:.0f} GiB로, 세그먼테이션 네트워크보다 훨씬 큽니다</translation>
    </message>
    <message>
        <source>Choose the checkpoint, not an archive of data</source>
        <translation>데이터 압축 파일이 아니라 체크포인트를 고르세요</translation>
    </message>
    <message>
        <source>a pickle of protocol 0 or 1, which this program does not read</source>
        <translation>프로토콜 0 또는 1의 pickle이며, 이 프로그램은 읽지 않습니다</translation>
    </message>
    <message>
        <source>torch.save has written protocol 2 or later since its first version</source>
        <translation>torch.save는 첫 버전부터 프로토콜 2 이상으로 저장합니다</translation>
    </message>
    <message>
        <source>If you trust its authors, open it in their program and save only model.state_dict() with torch.save</source>
        <translation>만든 사람을 신뢰한다면 그 프로그램에서 연 다음 torch.save로 model.state_dict()만 저장하세요</translation>
    </message>
    <message>
        <source>{foreign}, which this program does not read</source>
        <translation>{foreign}이며, 이 프로그램은 읽지 않습니다</translation>
    </message>
    <message>
        <source>not a file of network weights</source>
        <translation>네트워크 가중치 파일이 아닙니다</translation>
    </message>
    <message>
        <source>it is neither safetensors nor written by torch.save or TensorFlow</source>
        <translation>safetensors도 아니고 torch.save나 TensorFlow가 쓴 것도 아닙니다</translation>
    </message>
    <message>
        <source>Choose a .safetensors, .pth, .pt or .ckpt file, a frozen graph (.pb) or a TensorFlow checkpoint&apos;s .index</source>
        <translation>.safetensors, .pth, .pt, .ckpt 파일이나 고정 그래프(.pb), TensorFlow 체크포인트의 .index를 고르세요</translation>
    </message>
    <message>
        <source>neither model.safetensors (or its index) nor pytorch_model.bin is in it</source>
        <translation>model.safetensors(또는 그 색인)도 pytorch_model.bin도 없습니다</translation>
    </message>
    <message>
        <source>the folder holds no weights</source>
        <translation>폴더에 가중치가 없습니다</translation>
    </message>
    <message>
        <source>Choose a file</source>
        <translation>파일을 고르세요</translation>
    </message>
    <message>
        <source>It is a pipe or a device</source>
        <translation>파이프나 장치입니다</translation>
    </message>
    <message>
        <source>Reading this checkpoint</source>
        <translation>이 체크포인트 읽기</translation>
    </message>
    <message>
        <source>not a file of this program</source>
        <translation>이 프로그램의 파일이 아닙니다</translation>
    </message>
    <message>
        <source>Open it with load_model</source>
        <translation>load_model로 여세요</translation>
    </message>
    <message>
        <source>the part {name} lacks {count} of its tensors: {tensors}</source>
        <translation>{name} 부분에 텐서 {count}개가 없습니다: {tensors}</translation>
    </message>
    <message>
        <source>it looks like a web page, perhaps a failed download</source>
        <extracomment>First bytes of other programs&apos; files.</extracomment>
        <translation>웹 페이지처럼 보입니다. 다운로드가 실패했을 수 있습니다</translation>
    </message>
    <message>
        <source>it is a Git LFS pointer, not the file itself</source>
        <translation>파일 자체가 아니라 Git LFS 포인터입니다</translation>
    </message>
    <message>
        <source>the safetensors file is damaged</source>
        <translation>safetensors 파일이 손상되었습니다</translation>
    </message>
    <message>
        <source>the archive is truncated or damaged</source>
        <translation>압축 파일이 잘렸거나 손상되었습니다</translation>
    </message>
    <message>
        <source>the archive hides files outside itself</source>
        <translation>압축 파일이 자신 밖에 파일을 숨깁니다</translation>
    </message>
    <message>
        <source>it has an entry named {name}</source>
        <translation>{name}이라는 항목이 있습니다</translation>
    </message>
    <message>
        <source>the archive holds a link</source>
        <translation>압축 파일에 링크가 있습니다</translation>
    </message>
    <message>
        <source>entry {name}</source>
        <translation>항목 {name}</translation>
    </message>
    <message>
        <source>the archive unpacks to far more than it holds</source>
        <translation>압축을 풀면 담긴 것보다 훨씬 커집니다</translation>
    </message>
    <message>
        <source>entry {name} claims {bytes} bytes from {compressed}</source>
        <translation>항목 {name}이(가) {compressed}바이트에서 {bytes}바이트가 된다고 주장합니다</translation>
    </message>
    <message>
        <source>a Keras network (.keras), which this program does not read</source>
        <translation>Keras 네트워크(.keras)이며, 이 프로그램은 읽지 않습니다</translation>
    </message>
    <message>
        <source>numpy arrays (.npz), which this program does not read as a network</source>
        <translation>numpy 배열(.npz)이며, 이 프로그램은 네트워크로 읽지 않습니다</translation>
    </message>
    <message>
        <source>a zip archive, but not one that torch.save wrote</source>
        <translation>zip 압축 파일이지만 torch.save가 쓴 것이 아닙니다</translation>
    </message>
    <message>
        <source>it holds {inner}</source>
        <translation>들어 있는 것: {inner}</translation>
    </message>
    <message>
        <source>If the checkpoint is packed inside, unpack it and choose the file</source>
        <translation>체크포인트가 안에 압축되어 있다면 풀어서 그 파일을 고르세요</translation>
    </message>
    <message>
        <source>a TorchScript program, not plain weights</source>
        <translation>가중치만이 아닌 TorchScript 프로그램입니다</translation>
    </message>
    <message>
        <source>TorchScript archives hold code</source>
        <translation>TorchScript 압축 파일에는 코드가 들어 있습니다</translation>
    </message>
    <message>
        <source>Save the model&apos;s state_dict() instead</source>
        <translation>대신 모델의 state_dict()를 저장하세요</translation>
    </message>
    <message>
        <source>the file asks for more memory than there is</source>
        <translation>파일이 있는 것보다 많은 메모리를 요구합니다</translation>
    </message>
    <message>
        <source>Choose a smaller checkpoint</source>
        <translation>더 작은 체크포인트를 고르세요</translation>
    </message>
    <message>
        <source>the file is truncated or damaged</source>
        <translation>파일이 잘렸거나 손상되었습니다</translation>
    </message>
    <message>
        <source>this model cannot be written as a file of weights</source>
        <translation>이 모델은 가중치 파일로 쓸 수 없습니다</translation>
    </message>
    <message>
        <source>it is a finished graph</source>
        <translation>완성된 그래프입니다</translation>
    </message>
    <message>
        <source>such a file does not hold the code of another program</source>
        <translation>가중치 파일에는 다른 프로그램의 코드가 들어가지 않습니다</translation>
    </message>
    <message>
        <source>Copy its file</source>
        <translation>모델 파일을 복사하세요</translation>
    </message>
    <message>
        <source>Write it as ONNX, or save its state_dict() for its own program</source>
        <translation>ONNX로 쓰거나, 그 프로그램에서 쓸 state_dict()를 저장하세요</translation>
    </message>
    <message>
        <source>half precision cannot hold {count} tensors: {tensors}</source>
        <translation>반정밀도로 담을 수 없는 텐서가 {count}개 있습니다: {tensors}</translation>
    </message>
    <message>
        <source>values beyond 65504</source>
        <translation>65504를 넘는 값</translation>
    </message>
    <message>
        <source>Save in single precision</source>
        <translation>단정밀도로 저장하세요</translation>
    </message>
    <message>
        <source>a SavedModel holds the graph without its weights</source>
        <translation>SavedModel에는 가중치 없이 그래프만 있습니다</translation>
    </message>
    <message>
        <source>they are in its folder &apos;variables&apos;</source>
        <translation>가중치는 &apos;variables&apos; 폴더에 있습니다</translation>
    </message>
    <message>
        <source>Choose variables/variables.index</source>
        <translation>variables/variables.index를 고르세요</translation>
    </message>
    <message>
        <source>the TensorFlow file cannot be used</source>
        <translation>TensorFlow 파일을 사용할 수 없습니다</translation>
    </message>
    <message>
        <source>Choose frozen_inference_graph.pb or the .index file of an official release; if it is one, copy it again</source>
        <translation>공식 배포본의 frozen_inference_graph.pb나 .index 파일을 고르세요. 이미 그 파일이라면 다시 복사하세요</translation>
    </message>
    <message>
        <source>the TensorFlow file cannot be read</source>
        <translation>TensorFlow 파일을 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>compressed with gzip, and damaged or no packed release</source>
        <translation>gzip으로 압축되었는데, 손상되었거나 묶음 배포본이 아닙니다</translation>
    </message>
    <message>
        <source>compressed with gzip, without a frozen graph inside</source>
        <translation>gzip으로 압축되었지만 안에 고정 그래프가 없습니다</translation>
    </message>
    <message>
        <source>{file} is not among its files</source>
        <translation>파일 중에 {file}이(가) 없습니다</translation>
    </message>
    <message>
        <source>Unpack it and choose the file that ends in .index</source>
        <translation>압축을 풀고 .index로 끝나는 파일을 고르세요</translation>
    </message>
    <message>
        <source>the file asks to run code; it was not opened</source>
        <extracomment>Operations after which a pickle is given up: a checkpoint of the largest network with its optimiser needs about 200,000. Bytes, entries and characters that calls may copy in all: a pickle can hand one large mapping to a million calls. What copying an entry of a mapping or a list costs, in copied bytes. Modules (with all they hold) and single names that a checkpoint has no use for but to run code. Opcodes with the object as argument.</extracomment>
        <translation>파일이 코드를 실행하려 해 열지 않았습니다</translation>
    </message>
    <message>
        <source>it names {name}</source>
        <translation>{name}을(를) 가리킵니다</translation>
    </message>
    <message>
        <source>If you trust its authors, open it in their program and save only model.state_dict()</source>
        <translation>저자를 믿는다면 그들의 프로그램에서 열어 model.state_dict()만 저장하세요</translation>
    </message>
    <message>
        <source>no state dict in the file</source>
        <extracomment>Words that compilation and parallel training put anywhere into a key; no network of ours has them. Words that wrap a network somewhere inside a key, tried only where the keys as they are fit nothing as well. Entries that hold no network however much their keys look like one. A running average, a teacher: taken only where the weights that training itself stepped are absent. Authors&apos; evaluation scripts load the latter.</extracomment>
        <translation>파일에 state dict가 없습니다</translation>
    </message>
    <message>
        <source>Save the state_dict() of one network with torch.save</source>
        <translation>torch.save로 네트워크 하나의 state_dict()를 저장하세요</translation>
    </message>
    <message>
        <source>Save model.state_dict() with torch.save</source>
        <translation>torch.save로 model.state_dict()를 저장하세요</translation>
    </message>
    <message>
        <source>it holds an object of the class {class_name}, and would need its code</source>
        <translation>{class_name} 클래스의 객체가 들어 있어 그 코드가 필요합니다</translation>
    </message>
    <message>
        <source>it holds a list of {count} entries, and nothing says which of them is the network</source>
        <translation>항목 {count}개의 목록이 들어 있으며, 그중 무엇이 네트워크인지 알 수 없습니다</translation>
    </message>
    <message>
        <source>it holds a {kind}</source>
        <translation>{kind}이(가) 들어 있습니다</translation>
    </message>
    <message>
        <source>its entries are {keys}</source>
        <translation>항목: {keys}</translation>
    </message>
    <message>
        <source>&apos;{key}&apos; needs code that is not run</source>
        <translation>&apos;{key}&apos;에는 실행하지 않는 코드가 필요합니다</translation>
    </message>
    <message>
        <source>it is {what}</source>
        <translation>{what}입니다</translation>
    </message>
    <message>
        <source>&apos;{key}&apos; is not a plain tensor</source>
        <translation>&apos;{key}&apos;은(는) 일반 텐서가 아닙니다</translation>
    </message>
    <message>
        <source>Save float weights: quantised networks run through their own engine</source>
        <translation>float 가중치로 저장하세요. 양자화된 네트워크는 자체 엔진으로 실행됩니다</translation>
    </message>
    <message>
        <source>{dtype}, {layout}</source>
        <translation>{dtype}, {layout}</translation>
    </message>
    <message>
        <source>&apos;{key}&apos; claims {count} values, more than the file stores</source>
        <translation>&apos;{key}&apos;이(가) 값 {count}개를 주장하는데 파일에 저장된 것보다 많습니다</translation>
    </message>
    <message numerus="yes">
        <source>{names} and {n} more</source>
        <comment>{names} and {n} more</comment>
        <translation>
            <numerusform>{names} 그 밖에 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>No mask could be read</source>
        <extracomment>How many masks are opened, spread evenly over the list. Fewer values than this may fit one catalog by chance. Lists of class names that labelling programs write beside the masks.</extracomment>
        <translation>읽을 수 있는 마스크가 없습니다</translation>
    </message>
    <message>
        <source>No known catalog declares all their values</source>
        <translation>모든 값을 선언한 카탈로그가 없습니다</translation>
    </message>
    <message>
        <source>{reason}, but the ids {ids} are not those of &apos;{catalog}&apos;</source>
        <translation>{reason}. 하지만 ID {ids}은(는) &apos;{catalog}&apos;의 것이 아닙니다</translation>
    </message>
    <message>
        <source>{reason}, but their colours are not those of &apos;{catalog}&apos;</source>
        <translation>{reason}. 하지만 색이 &apos;{catalog}&apos;의 것이 아닙니다</translation>
    </message>
    <message>
        <source>{reason}, but: {other}</source>
        <translation>{reason}. 하지만: {other}</translation>
    </message>
    <message>
        <source>They hold 0 and 255 only, as binary masks do</source>
        <translation>이진 마스크처럼 0과 255만 있습니다</translation>
    </message>
    <message>
        <source>{reason}, but the colours are those of &apos;{catalog}&apos;</source>
        <translation>{reason}. 하지만 색은 &apos;{catalog}&apos;의 것입니다</translation>
    </message>
    <message>
        <source>The colours are those of the catalog</source>
        <translation>색이 카탈로그의 것입니다</translation>
    </message>
    <message>
        <source>Their values fit more than one of the known catalogs</source>
        <translation>값이 여러 카탈로그에 맞습니다</translation>
    </message>
    <message>
        <source>Only this catalog declares all their values</source>
        <translation>모든 값을 선언한 카탈로그는 이것뿐입니다</translation>
    </message>
    <message>
        <source>Too few values occur to tell the catalog</source>
        <translation>나오는 값이 적어 카탈로그를 알 수 없습니다</translation>
    </message>
    <message>
        <source>Atrous wrote these masks with the classes of &apos;{catalog}&apos;</source>
        <translation>Atrous가 &apos;{catalog}&apos;의 클래스로 이 마스크를 썼습니다</translation>
    </message>
    <message>
        <source>The files are named *{ending}</source>
        <translation>파일 이름이 *{ending}입니다</translation>
    </message>
    <message>
        <source>The files are named as those of {title}</source>
        <translation>파일 이름이 {title}의 것과 같습니다</translation>
    </message>
    <message>
        <source>The folder is called {name}, as CamVid&apos;s</source>
        <translation>폴더 이름이 CamVid처럼 {name}입니다</translation>
    </message>
    <message>
        <source>The folder is called {name}, as PASCAL VOC&apos;s</source>
        <translation>폴더 이름이 PASCAL VOC처럼 {name}입니다</translation>
    </message>
    <message>
        <source>The folder is called {name}, as KITTI&apos;s, which has the ids of Cityscapes</source>
        <translation>폴더 이름이 KITTI처럼 {name}이며, Cityscapes의 ID를 씁니다</translation>
    </message>
    <message>
        <source>The folder is called {name}, as Cityscapes&apos;</source>
        <translation>폴더 이름이 Cityscapes처럼 {name}입니다</translation>
    </message>
    <message>
        <source>{file} lists classes that &apos;{catalog}&apos; has not: {names}</source>
        <translation>{file}에 &apos;{catalog}&apos;에 없는 클래스가 있습니다: {names}</translation>
    </message>
    <message>
        <source>Masks as they are</source>
        <extracomment>Fewest draws: fifty slices are corrected as one family, and with 1,000 draws none of them could ever be told from chance.</extracomment>
        <translation>현재 마스크 그대로</translation>
    </message>
    <message>
        <source>{name} ({date})</source>
        <translation>{name}({date})</translation>
    </message>
    <message>
        <source>Comparing errors requires ground truth</source>
        <translation>오류를 비교하려면 정답이 필요합니다</translation>
    </message>
    <message>
        <source>Choose two different runs</source>
        <translation>서로 다른 실행 두 개를 고르세요</translation>
    </message>
    <message>
        <source>Comparing errors</source>
        <translation>오류 비교 중</translation>
    </message>
    <message>
        <source>Masks of the project</source>
        <translation>프로젝트의 마스크</translation>
    </message>
    <message>
        <source>Keeping a run</source>
        <translation>실행 보관 중</translation>
    </message>
    <message>
        <source>The run is kept again</source>
        <translation>실행을 다시 보관했습니다</translation>
    </message>
    <message>
        <source>Run &apos;{name}&apos; is not kept</source>
        <translation>실행 &apos;{name}&apos;을(를) 보관하지 않았습니다</translation>
    </message>
    <message numerus="yes">
        <source>{n} image in run &apos;{name}&apos;</source>
        <comment>{n} images in run &apos;{name}&apos;</comment>
        <translation>
            <numerusform>실행 &apos;{name}&apos;의 이미지 {n}개</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} image compared</source>
        <comment>{n} images compared</comment>
        <translation>
            <numerusform>이미지 {n}개 비교함</numerusform>
        </translation>
    </message>
    <message>
        <source>The masks of these runs are not kept any more</source>
        <translation>이 실행들의 마스크가 더 이상 보관되어 있지 않습니다</translation>
    </message>
    <message numerus="yes">
        <source>{n} attribute</source>
        <comment>{n} attributes</comment>
        <translation>
            <numerusform>속성 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>{name} is kept with the project: {columns}</source>
        <translation>{name}을(를) 프로젝트에 보관했습니다: {columns}</translation>
    </message>
    <message>
        <source>the table cannot be read</source>
        <extracomment>Folder of the copies below the project&apos;s directory, and the setting with their names: file -&gt; name of the user&apos;s file.</extracomment>
        <translation>표를 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>a table of attributes of the project cannot be read</source>
        <translation>프로젝트의 속성 표를 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>Choose the table again in the Evaluation panel, Failures</source>
        <translation>평가 패널의 오류 분석에서 표를 다시 고르세요</translation>
    </message>
    <message>
        <source>this project keeps no run &apos;{name}&apos;</source>
        <extracomment>Folder of the labels, below the project&apos;s directory; and the beginning of the keys of the facts. Setting: the highest number that a run was given, also one that was removed or never completed. End of the folder of a run that is not complete. Longest name of a run.</extracomment>
        <translation>이 프로젝트에 보관된 실행 &apos;{name}&apos;이(가) 없습니다</translation>
    </message>
    <message>
        <source>&apos;atrous project runs&apos; lists the runs that it keeps</source>
        <translation>보관된 실행은 &apos;atrous project runs&apos;로 볼 수 있습니다</translation>
    </message>
    <message>
        <source>run {number} has no image of this project</source>
        <translation>실행 {number}에 이 프로젝트의 이미지가 없습니다</translation>
    </message>
    <message>
        <source>Remove the run, or open the project of its images</source>
        <translation>실행을 제거하거나 그 이미지의 프로젝트를 여세요</translation>
    </message>
    <message>
        <source>the classes were edited after the run &apos;{name}&apos; was kept</source>
        <translation>실행 &apos;{name}&apos;을(를) 보관한 뒤에 클래스를 편집했습니다</translation>
    </message>
    <message>
        <source>Undo the edit of the classes, or keep the run again</source>
        <translation>클래스 편집을 실행 취소하거나 실행을 다시 보관하세요</translation>
    </message>
    <message>
        <source>A version that did not note the classes of its runs kept it</source>
        <translation>실행의 클래스를 기록하지 않는 버전이 보관했습니다</translation>
    </message>
    <message>
        <source>&apos;{edit}&apos; was undone since, and its labels do not say which class they had before</source>
        <translation>그 뒤 &apos;{edit}&apos;이(가) 취소되었고, 라벨만으로는 이전 클래스를 알 수 없습니다</translation>
    </message>
    <message>
        <source>{class_id} was &apos;{name}&apos; then, and is not in the classes of now</source>
        <translation>{class_id}은(는) 그때 &apos;{name}&apos;이었고 지금 클래스에는 없습니다</translation>
    </message>
    <message>
        <source>the kept runs of this project may take {size} MB</source>
        <translation>이 프로젝트의 보관된 실행은 {size} MB까지 쓸 수 있습니다</translation>
    </message>
    <message>
        <source>This run does not fit beside the others</source>
        <translation>이 실행은 다른 실행과 함께 들어가지 않습니다</translation>
    </message>
    <message>
        <source>Remove a run, or raise &apos;Disk space for kept runs, per project&apos; in the settings</source>
        <translation>실행을 제거하거나 설정에서 &apos;프로젝트별 보관된 실행의 디스크 공간&apos;을 늘리세요</translation>
    </message>
    <message>
        <source>Runs</source>
        <extracomment>Title of the page.</extracomment>
        <translation>실행</translation>
    </message>
    <message>
        <source>Choose two runs: the masks as they are, or models and settings that take part in Compare (Shift+C). Every error that the second run fixed or made is listed with its kind, its classes and its slice.</source>
        <translation>실행 두 개를 고르세요: 현재 마스크, 또는 비교(Shift+C)에 참여하는 모델과 설정. 두 번째 실행이 고치거나 만든 오류가 종류, 클래스, 슬라이스와 함께 나열됩니다.</translation>
    </message>
    <message>
        <source>{first} → {second}</source>
        <translation>{first} → {second}</translation>
    </message>
    <message>
        <source>{errors} in {images}, largest first</source>
        <translation>{images}에서 {errors}, 큰 것부터</translation>
    </message>
    <message numerus="yes">
        <source>{n} error</source>
        <comment>{n} errors</comment>
        <translation>
            <numerusform>오류 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>Its labels, figures and settings are deleted. Masks and predictions stay.</source>
        <translation>라벨, 수치, 설정이 삭제됩니다. 마스크와 예측은 남습니다.</translation>
    </message>
    <message>
        <source>Remove run &apos;{name}&apos;?</source>
        <translation>실행 &apos;{name}&apos;을(를) 제거할까요?</translation>
    </message>
    <message>
        <source>Remove</source>
        <translation>제거</translation>
    </message>
    <message>
        <source>The labels of &apos;{run}&apos; are kept with the project, with the date, settings and figures of now.</source>
        <translation>&apos;{run}&apos;의 라벨을 지금의 날짜, 설정, 수치와 함께 프로젝트에 보관합니다.</translation>
    </message>
    <message>
        <source>Keep run</source>
        <translation>실행 보관</translation>
    </message>
    <message>
        <source>Keep</source>
        <translation>보관</translation>
    </message>
    <message>
        <source>Its labels are scored by the ground truth of now. Which model made them is not known.</source>
        <translation>라벨을 지금의 정답으로 채점합니다. 어떤 모델이 만들었는지는 알 수 없습니다.</translation>
    </message>
    <message>
        <source>Run {number}</source>
        <translation>실행 {number}</translation>
    </message>
    <message>
        <source>Its labels are deleted. Masks and predictions stay.</source>
        <translation>라벨이 삭제됩니다. 마스크와 예측은 남습니다.</translation>
    </message>
    <message>
        <source>Fixed by {run}</source>
        <translation>{run}이(가) 고침</translation>
    </message>
    <message>
        <source>Made by {run}</source>
        <translation>{run}이(가) 만듦</translation>
    </message>
    <message>
        <source>HTML page (*.html)</source>
        <translation>HTML 페이지 (*.html)</translation>
    </message>
    <message>
        <source>Similar images</source>
        <translation>비슷한 이미지</translation>
    </message>
    <message>
        <source>{about} The model is looking at the images…</source>
        <translation>{about} 모델이 이미지를 살펴보는 중…</translation>
    </message>
    <message>
        <source>{about} {images}, the most similar first.</source>
        <translation>{about} {images}, 가장 비슷한 것부터.</translation>
    </message>
    <message>
        <source>better</source>
        <extracomment>Rows of cells and of pairs.</extracomment>
        <translation>좋아짐</translation>
    </message>
    <message>
        <source>worse</source>
        <translation>나빠짐</translation>
    </message>
    <message>
        <source>few</source>
        <translation>적음</translation>
    </message>
    <message>
        <source>Kinds</source>
        <translation>종류</translation>
    </message>
    <message>
        <source>Pairs</source>
        <translation>쌍</translation>
    </message>
    <message>
        <source>Cells</source>
        <translation>칸</translation>
    </message>
    <message>
        <source>Slices</source>
        <translation>슬라이스</translation>
    </message>
    <message>
        <source>{before} wrong px before, {after} after: {fixed} fixed, {made} made, {stayed} wrong in both</source>
        <translation>이전 잘못된 픽셀 {before} px, 이후 {after} px: {fixed} 고침, {made} 생김, {stayed} 둘 다 틀림</translation>
    </message>
    <message>
        <source>mIoU {mean} over {classes}</source>
        <translation>{classes}의 mIoU {mean}</translation>
    </message>
    <message>
        <source>pixel accuracy {share}</source>
        <translation>픽셀 정확도 {share}</translation>
    </message>
    <message>
        <source>ground truth {digest}</source>
        <translation>정답 {digest}</translation>
    </message>
    <message>
        <source>{size:.1g} MB</source>
        <translation>{size:.1g} MB</translation>
    </message>
    <message>
        <source>Name and figures of run {number} are lost ({images}, {size}).</source>
        <translation>실행 {number}의 이름과 수치가 없어졌습니다 ({images}, {size}).</translation>
    </message>
    <message numerus="yes">
        <source>{n} more run is lost.</source>
        <comment>{n} more runs are lost.</comment>
        <translation>
            <numerusform>실행 {n}개가 더 없어졌습니다.</numerusform>
        </translation>
    </message>
    <message>
        <source>and</source>
        <translation>와(과)</translation>
    </message>
    <message>
        <source>called</source>
        <translation>→</translation>
    </message>
    <message>
        <source>{before} px before, {after} after, {fixed} fixed, {made} made. Better in {better}, worse in {worse}.</source>
        <translation>이전 {before} px, 이후 {after} px, {fixed} 고침, {made} 생김. {better}에서 좋아지고 {worse}에서 나빠짐.</translation>
    </message>
    <message>
        <source>Too few images changed for a p-value: at least six are needed.</source>
        <translation>p값을 구하기에는 바뀐 이미지가 너무 적습니다. 6개 이상이 필요합니다.</translation>
    </message>
    <message>
        <source>p {value}, corrected for all rows of this tab (Holm)</source>
        <translation>p {value}, 이 탭의 모든 행에 대해 보정함 (Holm)</translation>
    </message>
    <message>
        <source>{fixed} px fixed, {made} made.</source>
        <translation>{fixed} px 고침, {made} 생김.</translation>
    </message>
    <message>
        <source>Show me</source>
        <extracomment>The text stands beside the buttons if a line has room for so many characters there.</extracomment>
        <translation>보여 주기</translation>
    </message>
    <message>
        <source>Back</source>
        <translation>뒤로</translation>
    </message>
    <message>
        <source>Next</source>
        <translation>다음</translation>
    </message>
    <message>
        <source>Leave</source>
        <translation>그만두기</translation>
    </message>
    <message>
        <source>The tour goes on at this step: menu Help, Guided tour</source>
        <translation>이 단계에서 이어집니다: 도움말 메뉴, 둘러보기</translation>
    </message>
    <message>
        <source>Tour {place} of {steps}</source>
        <translation>둘러보기 {place}/{steps}</translation>
    </message>
    <message>
        <source>More like this was stopped</source>
        <translation>비슷한 이미지 찾기 중단됨</translation>
    </message>
    <message>
        <source>Another model is in use. Choose More like this again to compare with that model.</source>
        <translation>다른 모델이 사용 중입니다. 그 모델로 비교하려면 비슷한 이미지를 다시 선택하세요.</translation>
    </message>
    <message>
        <source>it is a link or no file</source>
        <extracomment>Rises when figures are counted in another way within one version of the program. &quot;AtrE&quot;: how SQLite&apos;s header marks a file of this kind. A file that changed within this time before it was read may change again without another time or size; in ns. Pairs that are written together. How long another process may take to write its own, s. Written in one short transaction, so that other processes need not wait.</extracomment>
        <translation>링크이거나 파일이 아닙니다</translation>
    </message>
    <message>
        <source>it is a file of another kind</source>
        <translation>다른 종류의 파일입니다</translation>
    </message>
    <message>
        <source>{error}</source>
        <translation>{error}</translation>
    </message>
    <message>
        <source>this file cannot be used as a cache of an evaluation</source>
        <translation>이 파일은 평가의 캐시로 쓸 수 없습니다</translation>
    </message>
    <message>
        <source>Name another file with --cache, or leave the option out</source>
        <translation>--cache로 다른 파일을 지정하거나 옵션을 빼세요</translation>
    </message>
    <message>
        <source>{what} needs PyTorch, which this light installation leaves out</source>
        <translation>PyTorch가 필요합니다: {what}. 이 경량 설치에는 PyTorch가 없습니다</translation>
    </message>
    <message>
        <source>Get the application that contains PyTorch (make app)</source>
        <translation>PyTorch가 포함된 애플리케이션을 받으세요(make app)</translation>
    </message>
    <message>
        <source>Run: {python} -m pip install torch</source>
        <translation>실행: {python} -m pip install torch</translation>
    </message>
    <message>
        <source>{missing} px without data ({fill}) drawn {drawn}</source>
        <extracomment>Largest values of the bit depths that cameras and scanners store in 16-bit files. Values that programs write where they have no data and do not declare it. Taken as such only where they stand far apart. Beyond this, floats are fill values of some program (1e20, 9.97e36, 3.4e38), not measurements. What pixels without data become: the middle of the range, which neither a viewer nor a network takes for something. Share of the pixels from which an extreme value that is not usual may stand for &quot;no data&quot;, and how often per end. Different values from which a picture is not a drawing in a few tones. Share of the values, at either end, that may be outliers. A gap without any value, by so many times the range of the values on its one side, has outliers on its other. Share of the values that a declared range must hold, and how much of it the picture must fill. Values that are scaled together.</extracomment>
        <translation>데이터가 없는({fill}) {missing} px를 {drawn}(으)로 표시합니다</translation>
    </message>
    <message numerus="yes">
        <source>has pixels without data</source>
        <comment>have pixels without data</comment>
        <translation>
            <numerusform>데이터가 없는 픽셀이 있습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>{clipped} values above clipped</source>
        <translation>그보다 큰 값 {clipped}개 잘림</translation>
    </message>
    <message>
        <source>16-bit file with 8-bit values</source>
        <translation>8비트 값을 담은 16비트 파일</translation>
    </message>
    <message numerus="yes">
        <source>holds 8-bit values in 16 bit</source>
        <comment>hold 8-bit values in 16 bit</comment>
        <translation>
            <numerusform>16비트에 8비트 값을 담고 있습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>largest {top}</source>
        <translation>최댓값 {top}</translation>
    </message>
    <message>
        <source>16-bit values of 0..{full} scaled to 0..255 ({largest})</source>
        <translation>0..{full}의 16비트 값을 0..255로 변환했습니다 ({largest})</translation>
    </message>
    <message numerus="yes">
        <source>was scaled from {bits} bit</source>
        <comment>were scaled from {bits} bit</comment>
        <translation>
            <numerusform>{bits}비트에서 변환했습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>({clipped} outliers of {lowest}..{highest} clipped)</source>
        <translation>({lowest}..{highest}의 이상값 {clipped}개 잘림)</translation>
    </message>
    <message>
        <source>values of 0..1 scaled to 0..255</source>
        <translation>0..1의 값을 0..255로 변환했습니다</translation>
    </message>
    <message numerus="yes">
        <source>was scaled from values of 0..1</source>
        <comment>were scaled from values of 0..1</comment>
        <translation>
            <numerusform>0..1의 값에서 변환했습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>values rounded to whole numbers</source>
        <translation>값을 정수로 반올림했습니다</translation>
    </message>
    <message numerus="yes">
        <source>was rounded to whole numbers</source>
        <comment>were rounded to whole numbers</comment>
        <translation>
            <numerusform>정수로 반올림했습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>values {low}..{high} stretched to 0..255</source>
        <translation>{low}..{high}의 값을 0..255로 늘렸습니다</translation>
    </message>
    <message numerus="yes">
        <source>was stretched to its own range of values</source>
        <comment>were stretched to their own ranges of values</comment>
        <translation>
            <numerusform>자체 값 범위에 맞게 늘렸습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>({clipped} values outside clipped)</source>
        <translation>(범위 밖의 값 {clipped}개 잘림)</translation>
    </message>
    <message>
        <source>the declared values {low}..{high} scaled to 0..255</source>
        <translation>선언된 값 {low}..{high}을(를) 0..255로 변환했습니다</translation>
    </message>
    <message numerus="yes">
        <source>was scaled as its file declares</source>
        <comment>were scaled as their files declare</comment>
        <translation>
            <numerusform>파일이 선언한 대로 변환했습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>an export of Atrous; how many of its images no user touched was not recorded</source>
        <extracomment>Name of the marker file. Hidden, so that nothing lists it as an image or a mask. What ``atrous predict`` wrote before markers existed, and still writes for ``--resume``. From what a model said to what users corrected: a folder of several kinds counts as the first of them. A marker of a million images has about 60 MB.</extracomment>
        <translation>Atrous가 내보낸 것이며, 사용자가 손대지 않은 이미지 수는 기록되지 않았습니다</translation>
    </message>
    <message numerus="yes">
        <source>an export of Atrous; users worked on it of its {n} image</source>
        <comment>an export of Atrous; users worked on each of its {n} images</comment>
        <translation>
            <numerusform>Atrous가 내보낸 것이며, 이미지 {n}개를 모두 사용자가 작업했습니다</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>an export of Atrous; no user touched {number} of its {n} image</source>
        <comment>an export of Atrous; no user touched {number} of its {n} images</comment>
        <translation>
            <numerusform>Atrous가 내보낸 것이며, 이미지 {n}개 중 {number}개는 사용자가 손대지 않았습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>masks that Atrous refined with the CRF</source>
        <translation>Atrous가 CRF로 정제한 마스크</translation>
    </message>
    <message>
        <source>predictions that Atrous wrote</source>
        <translation>Atrous가 저장한 예측</translation>
    </message>
    <message>
        <source>{what} ({model})</source>
        <translation>{what} ({model})</translation>
    </message>
    <message>
        <source>each of the {absent} other classes</source>
        <extracomment>Share of void from which the figures rest on less than half of the pixels. Share of a class&apos;s predictions over void, and share of void that they cover, from which void hides the class. By how much shifted ids must agree better before they are believed to be shifted.</extracomment>
        <translation>다른 클래스 {absent}개</translation>
    </message>
    <message>
        <source>the masks hold only {id} ({name}) and 255, as binary masks do; 255 is void in &apos;{catalog}&apos;, so {percent} of the pixels count nowhere and {lost} never occurs. Save the object as the id of its class, or use a catalog with another void value</source>
        <translation>마스크에 이진 마스크처럼 {id}({name})와 255만 있습니다. &apos;{catalog}&apos;에서 255는 void이므로 픽셀의 {percent}이(가) 계산에서 빠지고 {lost}은(는) 나타나지 않습니다. 객체를 해당 클래스의 ID로 저장하거나 void 값이 다른 카탈로그를 사용하세요</translation>
    </message>
    <message numerus="yes">
        <source>holds only one class and void, as binary masks of 0 and 255 do</source>
        <comment>hold only one class and void, as binary masks of 0 and 255 do</comment>
        <translation>
            <numerusform>0과 255의 이진 마스크처럼 클래스 하나와 void만 있습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>void ({value}) covers {percent} of the masks</source>
        <translation>void({value})가 마스크의 {percent}을(를) 차지합니다</translation>
    </message>
    <message>
        <source>at most {percent} ({name})</source>
        <translation>최대 {percent} ({name})</translation>
    </message>
    <message numerus="yes">
        <source>has void</source>
        <comment>have void</comment>
        <translation>
            <numerusform>void가 있습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>{absent} of {classes} classes never occur: {names}</source>
        <translation>클래스 {classes}개 중 {absent}개가 나타나지 않습니다: {names}</translation>
    </message>
    <message>
        <source>class {name} never occurs</source>
        <translation>클래스 {name}은(는) 나타나지 않습니다</translation>
    </message>
    <message numerus="yes">
        <source>lacks classes</source>
        <comment>lack classes</comment>
        <translation>
            <numerusform>빠진 클래스가 있습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>the void value {value} of &apos;{catalog}&apos; is also the id of &apos;{name}&apos;: every pixel of &apos;{name}&apos; is read as void. Give the catalog another file_ignore</source>
        <translation>&apos;{catalog}&apos;의 void 값 {value}은(는) &apos;{name}&apos;의 ID이기도 합니다: &apos;{name}&apos;의 모든 픽셀을 void로 읽습니다. 카탈로그에 다른 file_ignore를 지정하세요</translation>
    </message>
    <message numerus="yes">
        <source>is read with a void value that is a class</source>
        <comment>are read with a void value that is a class</comment>
        <translation>
            <numerusform>클래스이기도 한 void 값으로 읽습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>void hides a class: {percent} of what is predicted as {names} lies where the ground truth is void</source>
        <translation>void가 클래스를 가립니다: {names}(으)로 예측한 것의 {percent}이(가) 정답이 void인 곳에 있습니다</translation>
    </message>
    <message numerus="yes">
        <source>hides classes behind void</source>
        <comment>hide classes behind void</comment>
        <translation>
            <numerusform>void 뒤에 클래스가 가려져 있습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>the predicted ids look shifted by one: with every id {moved}, mIoU would be {better_mean} instead of {mean} and pixel accuracy {better} instead of {accuracy}</source>
        <translation>예측한 ID가 하나씩 밀린 것으로 보입니다: 모든 ID가 {moved} mIoU는 {mean} 대신 {better_mean}, 픽셀 정확도는 {accuracy} 대신 {better}이(가) 됩니다</translation>
    </message>
    <message>
        <source>one higher</source>
        <translation>하나 크면</translation>
    </message>
    <message>
        <source>one lower</source>
        <translation>하나 작으면</translation>
    </message>
    <message numerus="yes">
        <source>has ids that look shifted by one</source>
        <comment>have ids that look shifted by one</comment>
        <translation>
            <numerusform>하나씩 밀린 것으로 보이는 ID가 있습니다</numerusform>
        </translation>
    </message>
    <message>
        <source>{files} {said}</source>
        <translation>{files}: {said}</translation>
    </message>
    <message>
        <source>{files} {said} ({names}): {text}</source>
        <translation>{files}: {said} ({names}): {text}</translation>
    </message>
    <message numerus="yes">
        <source>{n} ground truth mask</source>
        <comment>{n} ground truth masks</comment>
        <translation>
            <numerusform>정답 마스크 {n}개</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{n} predicted mask</source>
        <comment>{n} predicted masks</comment>
        <translation>
            <numerusform>예측 마스크 {n}개</numerusform>
        </translation>
    </message>
    <message>
        <source>this model cannot learn from corrections</source>
        <extracomment>A user&apos;s pixel against a predicted one, by strength. Adam&apos;s rate and the weight of the distance from the start, by strength. What is left of the rate where some classes have everything to learn: their rows would carry the other classes off. Share of the confident predictions elsewhere that must stay; else less of the change is taken. Multiply-adds of the trainable part&apos;s forward passes over everything, and the bounds of the steps that follow from it. What it costs decides, not the clock: the same corrections give the same model on every machine. Steps that each corrected image adds to the fewest: a single one would be learned by heart in a hundred. Parts of a view that a costly decoder runs over. Corrected images below which more of them are asked for.</extracomment>
        <translation>이 모델은 수정한 내용에서 학습할 수 없습니다</translation>
    </message>
    <message>
        <source>Better: images that were left out while learning gained. It is worth accepting.</source>
        <translation>나아짐: 학습에서 제외한 이미지의 결과가 좋아졌습니다. 받아들일 만합니다.</translation>
    </message>
    <message>
        <source>Worse: images that were left out while learning lost: discard this, and correct more images first.</source>
        <translation>나빠짐: 학습에서 제외한 이미지의 결과가 나빠졌습니다. 버리고, 먼저 이미지를 더 수정하세요.</translation>
    </message>
    <message>
        <source>Worse: images that were left out while learning lost: discard this.</source>
        <translation>나빠짐: 학습에서 제외한 이미지의 결과가 나빠졌습니다. 버리세요.</translation>
    </message>
    <message>
        <source>Not sure: on the images that were left out the change may be chance. Look closely, or correct more images first.</source>
        <translation>불확실함: 제외한 이미지에서 나타난 변화는 우연일 수 있습니다. 자세히 살펴보거나, 먼저 이미지를 더 수정하세요.</translation>
    </message>
    <message>
        <source>Not sure: with one corrected image nothing could be left out for a check. Look closely, or correct a second one.</source>
        <translation>불확실함: 수정한 이미지가 하나뿐이라 확인용으로 제외할 것이 없었습니다. 자세히 살펴보거나, 하나 더 수정하세요.</translation>
    </message>
    <message>
        <source>all layers</source>
        <translation>모든 층</translation>
    </message>
    <message>
        <source>the classifier</source>
        <translation>분류기</translation>
    </message>
    <message>
        <source>everything behind the encoder</source>
        <translation>인코더 뒤의 모든 층</translation>
    </message>
    <message>
        <source>Panels</source>
        <extracomment>Docks that share a place as tabs: the one in front at first, and the one behind it. Where a column of docks has a width of its own. On a screen too low for three rows (px) all below the classes share one place. On one of 768 px the third row had no room for its curve. The row that gets the rest has at least this height (px), where the others can be lower. Least height in px, share of the column, and most in px, of each row but the one that gets the rest. What the rows want by the tab in front, with three rows and on a low screen with two. The classes get the rest. Marks rows of tabs that are followed already.</extracomment>
        <translation>패널</translation>
    </message>
    <message>
        <source>Run the model on the folder.</source>
        <translation>폴더에 모델을 실행하세요.</translation>
    </message>
    <message>
        <source>Run the model on the folder again: predictions made before this version did not keep it.</source>
        <translation>폴더에 모델을 다시 실행하세요: 이 버전 이전의 예측에는 저장되어 있지 않습니다.</translation>
    </message>
    <message>
        <source>Lowest IoU</source>
        <extracomment>All scores by name, in the order in which rankings are listed.</extracomment>
        <translation>가장 낮은 IoU</translation>
    </message>
    <message>
        <source>1 - mean IoU of the mask as it is, over the classes of the ground truth</source>
        <translation>1 - 정답의 클래스에 대한 현재 마스크의 평균 IoU</translation>
    </message>
    <message>
        <source>Evaluate the folder (Ctrl+J).</source>
        <translation>폴더를 평가하세요 (Ctrl+J).</translation>
    </message>
    <message>
        <source>Least confident</source>
        <translation>가장 낮은 신뢰도</translation>
    </message>
    <message>
        <source>mean of 1 - confidence, away from predicted edges</source>
        <translation>예측 가장자리에서 떨어진 곳의 1 - 신뢰도의 평균</translation>
    </message>
    <message>
        <source>Worst spot</source>
        <translation>가장 나쁜 곳</translation>
    </message>
    <message>
        <source>mean of 1 - confidence over the least certain hundredth, away from edges</source>
        <translation>가장자리에서 떨어진 곳에서 가장 불확실한 1 %의 1 - 신뢰도의 평균</translation>
    </message>
    <message>
        <source>sum of 1 - confidence, in pixels, away from edges</source>
        <translation>가장자리에서 떨어진 곳의 1 - 신뢰도의 합(픽셀)</translation>
    </message>
    <message>
        <source>1 - lead of the first class over the second</source>
        <translation>1 - 1순위 클래스와 2순위 클래스의 차이</translation>
    </message>
    <message>
        <source>Highest entropy</source>
        <translation>가장 높은 엔트로피</translation>
    </message>
    <message>
        <source>entropy of the class probabilities over ln C</source>
        <translation>클래스 확률의 엔트로피를 ln C로 나눈 값</translation>
    </message>
    <message>
        <source>Flip and scales disagree</source>
        <translation>반전과 배율의 불일치</translation>
    </message>
    <message>
        <source>mutual information of the passes</source>
        <translation>실행 사이의 상호 정보량</translation>
    </message>
    <message>
        <source>Run with flip or several scales (Model dock).</source>
        <translation>반전 또는 여러 배율로 실행하세요 (모델 패널).</translation>
    </message>
    <message>
        <source>pixels on which another prediction differs, away from edges</source>
        <translation>가장자리에서 떨어진 곳에서 다른 예측과 다른 픽셀</translation>
    </message>
    <message>
        <source>Run a second model on the folder, or the same one with other settings.</source>
        <translation>폴더에 두 번째 모델을, 또는 같은 모델을 다른 설정으로 실행하세요.</translation>
    </message>
    <message>
        <source>Model and CRF disagree</source>
        <translation>모델과 CRF의 불일치</translation>
    </message>
    <message>
        <source>pixels that the CRF changed, away from edges</source>
        <translation>가장자리에서 떨어진 곳에서 CRF가 바꾼 픽셀</translation>
    </message>
    <message>
        <source>Apply the CRF to the folder.</source>
        <translation>폴더에 CRF를 적용하세요.</translation>
    </message>
    <message>
        <source>Possible label errors</source>
        <translation>의심되는 라벨 오류</translation>
    </message>
    <message>
        <source>1 - softmin of the confidence in the labels, without edges and void</source>
        <translation>가장자리와 void를 뺀 라벨 신뢰도의 1 - softmin</translation>
    </message>
    <message>
        <source>It needs ground truth and a prediction.</source>
        <translation>정답과 예측이 필요합니다.</translation>
    </message>
    <message>
        <source>What each model does to the figures of A</source>
        <extracomment>Least height of a row, and the least width of the names, px.</extracomment>
        <translation>각 모델이 A의 수치를 어떻게 바꾸는지</translation>
    </message>
    <message>
        <source>Change in points</source>
        <translation>변화 (포인트)</translation>
    </message>
    <message>
        <source>{name} against A</source>
        <translation>A 대비 {name}</translation>
    </message>
    <message>
        <source>Check the address, the rights and the connection</source>
        <extracomment>Bytes of a manifest that are one unit of work: some 600 lines. Longest list of shards that is read, bytes; and the longest marker. Where stores say that a file has changed.</extracomment>
        <translation>주소, 권한, 연결을 확인하세요</translation>
    </message>
    <message>
        <source>fsspec is not installed</source>
        <translation>fsspec이 설치되어 있지 않습니다</translation>
    </message>
    <message>
        <source>{url} cannot be opened</source>
        <translation>{url}을(를) 열 수 없습니다</translation>
    </message>
    <message>
        <source>Install the package of this store for fsspec (s3fs, gcsfs, adlfs), or check the address</source>
        <translation>이 저장소에 맞는 fsspec 패키지(s3fs, gcsfs, adlfs)를 설치하거나 주소를 확인하세요</translation>
    </message>
    <message>
        <source>{url}: there is no such file</source>
        <translation>{url}: 그런 파일이 없습니다</translation>
    </message>
    <message>
        <source>{url}: {what} cannot be read</source>
        <translation>{url}: {what}을(를) 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>{specs}: there is no shard</source>
        <translation>{specs}: 샤드가 없습니다</translation>
    </message>
    <message>
        <source>Name tar, Parquet, CSV or JSON lines files, e.g. &apos;part-{000..127}.tar&apos;</source>
        <translation>tar, Parquet, CSV 또는 JSON lines 파일을 지정하세요. 예: &apos;part-{000..127}.tar&apos;</translation>
    </message>
    <message>
        <source>{one} and {other} would have the same results, {name}</source>
        <translation>{one}과(와) {other}의 결과가 같은 파일 {name}이(가) 됩니다</translation>
    </message>
    <message>
        <source>Name each shard once, and give shards of equal names outputs of their own</source>
        <translation>각 샤드를 한 번만 지정하고, 이름이 같은 샤드에는 서로 다른 출력을 지정하세요</translation>
    </message>
    <message>
        <source>braceexpand is not installed</source>
        <translation>braceexpand가 설치되어 있지 않습니다</translation>
    </message>
    <message>
        <source>{spec}: the braces do not match</source>
        <translation>{spec}: 중괄호의 짝이 맞지 않습니다</translation>
    </message>
    <message>
        <source>Write a range as {000..127}</source>
        <translation>범위는 {000..127}처럼 쓰세요</translation>
    </message>
    <message>
        <source>{url} is not a shard</source>
        <translation>{url}은(는) 샤드가 아닙니다</translation>
    </message>
    <message>
        <source>Shards end in {endings}</source>
        <translation>샤드의 확장자는 {endings}입니다</translation>
    </message>
    <message>
        <source>{url} cannot be written</source>
        <extracomment>Whether it is a folder, not a store.</extracomment>
        <translation>{url}에 쓸 수 없습니다</translation>
    </message>
    <message>
        <source>the name &apos;{key}&apos; occurs twice in the shard</source>
        <extracomment>Largest member of a tar file that is read, bytes.</extracomment>
        <translation>이름 &apos;{key}&apos;이(가) 샤드에 두 번 있습니다</translation>
    </message>
    <message>
        <source>Files of one sample stand together, and samples have different names</source>
        <translation>한 표본의 파일은 나란히 있어야 하고, 표본마다 이름이 달라야 합니다</translation>
    </message>
    <message>
        <source>{url}: the shard is damaged or cannot be read to its end</source>
        <translation>{url}: 샤드가 손상되었거나 끝까지 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>{kind}: {text}</source>
        <translation>{kind}: {text}</translation>
    </message>
    <message>
        <source>this member is a link to {target}, which is not followed</source>
        <translation>이 항목은 {target}에 대한 링크이며, 링크는 따라가지 않습니다</translation>
    </message>
    <message>
        <source>Write the archive with the files themselves in place of links</source>
        <translation>링크 대신 파일 자체로 아카이브를 만드세요</translation>
    </message>
    <message>
        <source>the sample has two files that may be its {role}: {one} and {other}</source>
        <translation>표본에 {role}일 수 있는 파일이 둘 있습니다: {one}, {other}</translation>
    </message>
    <message>
        <source>Say which with --{role}-field</source>
        <translation>--{role}-field로 어느 것인지 지정하세요</translation>
    </message>
    <message>
        <source>this member is too large to be read</source>
        <translation>이 구성 파일은 너무 커서 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>It has {size:,} bytes; at most {limit:,} are read</source>
        <translation>크기는 {size:,}바이트이며, 최대 {limit:,}바이트를 읽습니다</translation>
    </message>
    <message>
        <source>the name &apos;{key}&apos; leads out of its folder</source>
        <translation>이름 &apos;{key}&apos;이(가) 폴더 밖을 가리킵니다</translation>
    </message>
    <message>
        <source>Give samples relative names without &apos;..&apos;</source>
        <translation>표본에는 &apos;..&apos;이 없는 상대 이름을 주세요</translation>
    </message>
    <message>
        <source>{url}: the compression is damaged</source>
        <translation>{url}: 압축이 손상되었습니다</translation>
    </message>
    <message>
        <source>Copy the shard again from its source, or write it again</source>
        <extracomment>What a member or column holds, by what the user may name. Columns that may hold the images&apos; names. What to do about a damaged shard.</extracomment>
        <translation>샤드를 원본에서 다시 복사하거나 다시 쓰세요</translation>
    </message>
    <message>
        <source>there is no {role} of this sample</source>
        <translation>이 표본에는 {role}이(가) 없습니다</translation>
    </message>
    <message>
        <source>Looked for: {names}</source>
        <translation>찾은 이름: {names}</translation>
    </message>
    <message>
        <source>Name it with --{role}-field</source>
        <translation>--{role}-field로 지정하세요</translation>
    </message>
    <message>
        <source>row group {group} is damaged</source>
        <translation>행 그룹 {group}이(가) 손상되었습니다</translation>
    </message>
    <message>
        <source>the line has {values} columns, the first line of the file names {columns}</source>
        <translation>이 줄에는 열이 {values}개 있고, 파일의 첫 줄에는 {columns}개가 있습니다</translation>
    </message>
    <message>
        <source>Write one line for each image; texts hold no line breaks</source>
        <translation>이미지마다 한 줄씩 쓰세요. 글에는 줄바꿈을 넣을 수 없습니다</translation>
    </message>
    <message>
        <source>the line is not an object</source>
        <translation>이 줄은 객체가 아닙니다</translation>
    </message>
    <message>
        <source>Write lines like {&quot;image&quot;: &quot;a.jpg&quot;}</source>
        <translation>{&quot;image&quot;: &quot;a.jpg&quot;} 같은 줄로 쓰세요</translation>
    </message>
    <message>
        <source>&apos;{key}&apos; does not work with shards</source>
        <translation>&apos;{key}&apos;은(는) 샤드와 함께 쓸 수 없습니다</translation>
    </message>
    <message>
        <source>It needs to know every image before the first step</source>
        <translation>첫 단계 전에 모든 이미지를 알아야 합니다</translation>
    </message>
    <message>
        <source>Leave it out, or train on folders</source>
        <translation>이 옵션을 빼거나 폴더로 학습하세요</translation>
    </message>
    <message>
        <source>the sample cannot be read any more</source>
        <translation>표본을 더 이상 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>{shard}: sample {number} cannot be read any more</source>
        <translation>{shard}: 표본 {number}을(를) 더 이상 읽을 수 없습니다</translation>
    </message>
    <message>
        <source>Keys beside &apos;shards&apos; are {keys}</source>
        <translation>&apos;shards&apos; 외의 키는 {keys}입니다</translation>
    </message>
    <message>
        <source>the mask and its image have different sizes</source>
        <translation>마스크와 이미지의 크기가 다릅니다</translation>
    </message>
    <message>
        <source>the index of {shard} is missing</source>
        <translation>{shard}의 색인이 없습니다</translation>
    </message>
    <message>
        <source>All processes must see the folder of the run</source>
        <translation>모든 프로세스에서 실행 폴더가 보여야 합니다</translation>
    </message>
    <message>
        <source>Put it on a disk that all machines share</source>
        <translation>모든 컴퓨터가 공유하는 디스크에 두세요</translation>
    </message>
    <message>
        <source>It needs ground truth.</source>
        <translation>정답이 필요합니다.</translation>
    </message>
    <message>
        <source>Gain in the folder&apos;s mIoU</source>
        <extracomment>Orders of error components by name, in the order in which they are offered. Those without ground truth are rankings of images (:data:`~deeplab_core.analysis.ranking.RANKINGS`), summed over the pixels of a component.</extracomment>
        <translation>폴더 mIoU의 증가</translation>
    </message>
    <message>
        <source>what fixing the component adds to the mean IoU of all images together</source>
        <translation>성분을 고칠 때 모든 이미지를 합친 평균 IoU의 증가</translation>
    </message>
    <message>
        <source>Gain in its image&apos;s mIoU</source>
        <translation>이미지 mIoU의 증가</translation>
    </message>
    <message>
        <source>what fixing the component adds to the mean IoU of its image</source>
        <translation>성분을 고칠 때 그 이미지의 평균 IoU의 증가</translation>
    </message>
    <message>
        <source>number of wrong pixels</source>
        <translation>틀린 픽셀 수</translation>
    </message>
    <message>
        <source>the errors of this image were not found</source>
        <translation>이 이미지의 오류를 찾지 못했습니다</translation>
    </message>
    <message>
        <source>The process that looks for them has ended: {reason}</source>
        <translation>오류를 찾는 프로세스가 종료되었습니다: {reason}</translation>
    </message>
    <message>
        <source>Close other programs, then evaluate again</source>
        <translation>다른 프로그램을 닫은 다음 다시 평가하세요</translation>
    </message>
    <message>
        <source>this model has no layers to list</source>
        <translation>이 모델에는 표시할 레이어가 없습니다</translation>
    </message>
</context>
</TS>
